#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Code lines (no blanks, no comments) of the product with int4 weights in groups: ours against ggml's.

lines.py                 ours alone
lines.py --ggml DIR      beside a checkout of ggml or llama.cpp (a work tree, or a git directory)
lines.py --onednn DIR    beside a checkout of oneDNN

Ours: every file the products of float activations include (bodies, codecs, packing; all instruction sets come from them),
which also hold every other weight format. ggml: only the functions of its closest format, q4_K (groups with scale and
minimum), and of the activations' quantisation to q8_K that it needs, in the generic, x86 and ARM files. oneDNN: the
files of its x64 matmul with weights of any type (the one that decompresses int4), without AMX and without ARM.
"""
import argparse
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CPU = ROOT / "tandem/kernels/cpu"
# What every kernel shares, as a compiler's intrinsics are shared: counted apart.
VOCABULARY = {"vec.h", "vec_highway.h", "vec_portable.h", "isa.h", "kernels.h", "failure.h"}
GGML = ["src/ggml-cpu/quants.c", "src/ggml-cpu/repack.cpp", "src/ggml-cpu/arch/x86/quants.c", "src/ggml-cpu/arch/x86/repack.cpp",
        "src/ggml-cpu/arch/arm/quants.c", "src/ggml-cpu/arch/arm/repack.cpp"]
GGML_NAMES = re.compile(r"q4_K|Q4_K|quantize_(row|mat)_q8_K")
ONEDNN = ["src/cpu/x64/brgemm/" + name for name in (
    "brgemm.cpp", "brgemm.hpp", "brgemm_types.hpp", "brgemm_utils.cpp", "brgemm_utils.hpp", "jit_brgemm_kernel.cpp")]
ONEDNN += [f"src/cpu/x64/matmul/brgemm_matmul{name}.{kind}" for name in ("", "_copy_utils", "_reorders", "_utils")
           for kind in ("cpp", "hpp")]


def code_lines(text):
    text = re.sub(r'"(?:\\.|[^"\\\n])*"', '""', text)
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    return sum(1 for line in text.split("\n") if re.sub(r"//.*", "", line).strip())


def our_files():
    """Sources of float activations and the kernel headers they include, directly or not."""
    todo = [path for path in sorted(CPU.glob("gemm*.cpp")) if "integer" not in path.name]
    found = []
    while todo:
        path = todo.pop(0)
        if path in found:
            continue
        found.append(path)
        names = re.findall(r'#include "tandem/kernels/cpu/([\w.]+)"', path.read_text())
        todo += [CPU / name for name in names if (CPU / name).exists()]
    found += [ROOT / "tandem/kernels" / name for name in ("pack.cpp", "blocking.cpp") if (ROOT / "tandem/kernels" / name).exists()]
    return sorted(found)


def read_other(folder, name):
    """A file of a checkout; llama.cpp keeps ggml in a folder of its own, a git directory has no files."""
    for prefix in ("", "ggml/"):
        if (Path(folder) / (prefix + name)).exists():
            return (Path(folder) / (prefix + name)).read_text()
        shown = subprocess.run(["git", "-C", folder, "show", f"HEAD:{prefix}{name}"], capture_output=True, text=True)
        if shown.returncode == 0:
            return shown.stdout
    raise SystemExit(f"{folder}: no {name}")


def functions_named(text, names):
    """Definitions at the left margin whose head matches: from the head to the brace that closes it."""
    lines, at = text.split("\n"), 0
    while at < len(lines):
        head = lines[at]
        if re.match(r"^(void|static|template|int|inline)\b", head) and "(" in head and names.search(head) and not head.rstrip().endswith(";"):
            end = next((i for i in range(at, len(lines)) if lines[i].startswith("}") or (i == at and lines[i].rstrip().endswith("}"))), at)
            yield re.sub(r"\(.*", "", head).split()[-1], code_lines("\n".join(lines[at:end + 1]))
            at = end
        at += 1


def compare_ggml(folder, ours, shared):
    theirs = 0
    for name in GGML:
        found = list(functions_named(read_other(folder, name), GGML_NAMES))
        count = sum(lines for _, lines in found)
        theirs += count
        print(f"{count:6}  {name}: {len(found)} functions of q4_K")
    print(f"{theirs:6}  ggml, q4_K alone; ours / ggml = {ours / theirs:.2f}, with the vocabulary {(ours + shared) / theirs:.2f}")


def compare_onednn(folder, ours, shared):
    theirs = 0
    for name in ONEDNN:
        count = code_lines(read_other(folder, name))
        theirs += count
        print(f"{count:6}  {name}")
    print(f"{theirs:6}  oneDNN, all weight formats on x64; ours / oneDNN = {ours / theirs:.2f}, "
          f"with the vocabulary {(ours + shared) / theirs:.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ggml", help="checkout or git directory of ggml or llama.cpp")
    parser.add_argument("--onednn", help="checkout or git directory of oneDNN")
    options = parser.parse_args()
    ours = shared = 0
    for path in our_files():
        count = code_lines(path.read_text())
        apart = path.name in VOCABULARY
        shared, ours = shared + count * apart, ours + count * (not apart)
        print(f"{count:6}  {path.relative_to(ROOT)}{'  (vocabulary of all kernels, apart)' if apart else ''}")
    print(f"{ours:6}  ours: all weight formats and instruction sets; vocabulary {shared} more")
    if options.ggml:
        compare_ggml(options.ggml, ours, shared)
    if options.onednn:
        compare_onednn(options.onednn, ours, shared)


if __name__ == "__main__":
    main()
