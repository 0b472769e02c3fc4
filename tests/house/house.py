#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""House rules that a machine can check.

house.py --source DIR --build DIR [CHECK...]   runs the named checks (all without names); exit code 1 on a finding
house.py --list                                names of the checks
house.py --source DIR --build DIR --figures    lengths of functions and files, size of the fused operator

A check is a function of a Tree that returns its findings as lines of text. self_test.py plants a violation for each.
"""
import argparse
import json
import os
import platform
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import hot_loops
from cpp import blank_comments, functions, includes

CODE = ("tandem", "front", "tools")
FLOORS = ("base", "exec", "kernels", "comm", "ops", "check", "llm", "front", "tools")
HEIGHT = {"base": 0, "exec": 1, "kernels": 2, "comm": 3, "ops": 4, "check": 5, "llm": 5, "front": 5, "tools": 6}
FILE_LINES, FUNCTION_LINES, KERNEL_LINES = 500, 60, 120

# Third-party headers and the only places that may include them; r"" of a path that begins the file's name.
THIRD_PARTY = {
    r"hwy/": r"tandem/kernels/cpu/",
    r"hwloc": r"tandem/exec/topology\.cpp",
    r"CLI/": r"tools/",
    r"nlohmann/": r"tandem/base/json\.(h|cpp)|tandem/comm/rank_table\.cpp|tandem/check/|tandem/llm/|tools/|front/acl/|tests/|bench/|.*_test\.cpp|.*/test_\w+\.h",
    r"spdlog/": r"tandem/base/log\.cpp",
    r"tl/": r"tandem/base/status\.h",
    r"fmt/": r"tandem/(?!kernels/cpu/)|front/(?!.*/include/)|tools/|tests/|bench/|.*_test\.cpp",
    r"gtest/|gmock/|rapidcheck": r"tests/|.*_test\.(cpp|h)|.*/test_\w+\.h",
    r"benchmark/": r"bench/|.*_bench\.cpp",
    r"ucp/|ucs/|uct/": r"tandem/comm/ucx\.cpp",
    r"oneapi/": r"bench/compare/",
    r"mpi\.h": r"bench/compare/",
    r"gloo/": r"bench/compare/",
    r"\w*mmintrin\.h|x86intrin\.h|cpuid\.h|arm_neon\.h|arm_sve\.h": r"tandem/kernels/cpu/|tandem/exec/|bench/",
}
SYSTEM_FOLDERS = ("sys/", "linux/", "netinet/", "arpa/", "net/", "bits/", "asm/")
LIBM = ("exp exp2 exp10 expm1 log log2 log10 log1p sin cos tan asin acos atan atan2 sinh cosh tanh asinh acosh atanh "
        "erf erfc pow cbrt hypot tgamma lgamma fma fmod remainder sincos").split()
FAST_MATH = ("-ffast-math", "-Ofast", "-funsafe-math-optimizations", "-fassociative-math", "-freciprocal-math",
             "-ffinite-math-only", "-fno-signed-zeros")
# Objects that may have a static initialiser, with the reason.
STATIC_INITIALISERS = {"fault.cpp.o": "empty strings of the fault switch; no thread, no descriptor"}
# Files that may take the environment as a whole, to hand it on to a child.
HANDS_ON_ENVIRONMENT = {"tools/launch.cpp"}
# Loops of products that may spill or fold loads: (target, object, pattern of the function) and the reason, printed.
FEW = "gemm_few.cpp.o"
FULL = "open: sums, offsets and decoding want more registers than there are"
KNOWN_LOOPS = {("tandem_isa_avx2", FEW, r"panel_run<.*(Deep|Nibble)Codec<"): FULL,
               ("tandem_isa_avx2", FEW, r"rows_run<.*(I8, 8|I4, 4), 1, true>"): FULL,
               ("tandem_isa_avx512", FEW, r"panel_run<.*DeepCodec<4, false>, 3>"): FULL,
               ("tandem_isa_avx512_vnni", FEW, r"panel_run<.*DeepCodec<4, false>, 3>"): FULL}
# Instructions that make a table worth having: (target, objects, name, register class).
WANTED_INSTRUCTIONS = [("tandem_isa_avx2", r"gemm\w*\.cpp\.o", "vfmadd", "ymm"),
                       ("tandem_isa_avx2", r"gemm_int\w*\.cpp\.o", "vpmaddwd", "ymm"),
                       ("tandem_isa_avx512", r"gemm\w*\.cpp\.o", "vfmadd", "zmm"),
                       ("tandem_isa_avx512", r"gemm_int\w*\.cpp\.o", "vpmaddwd", "zmm"),
                       ("tandem_isa_avx512_vnni", r"gemm\w*\.cpp\.o", "vfmadd", "zmm"),
                       ("tandem_isa_avx512_vnni", r"gemm_int\w*\.cpp\.o", "vpdpbusd", "zmm")]
# Instructions that a CPU of the table need not know.
UNWANTED_INSTRUCTIONS = [("tandem_isa_portable", "v", "ymm"), ("tandem_isa_avx2", "v", "zmm"),
                         ("tandem_isa_avx2", "vpdp", ""), ("tandem_isa_avx512", "vpdp", "")]
# Function-like macros outside the vendor-shaped headers, with the reason.
MACROS = {name: "a name as text needs the preprocessor" for name in ("TANDEM_ISA_STRING", "TANDEM_ISA_STRING_OF")}


class Tree:
    """The files under test: a source folder and the build folder made from it."""

    def __init__(self, source, build):
        self.source, self.build = Path(source), Path(build)

    def files(self, *folders, suffixes=(".h", ".cpp")):
        for folder in folders:
            for path in sorted((self.source / folder).rglob("*")):
                if path.suffix in suffixes and path.is_file() and "build" not in path.relative_to(self.source).parts:
                    yield path

    def name(self, path):
        return path.relative_to(self.source).as_posix()

    def objects(self, pattern):
        """Object files of the targets whose name matches; none at all is a finding of the caller."""
        for path in sorted(self.build.rglob("*.o")):
            target = re.search(r"CMakeFiles/(\w+)\.dir/", path.as_posix())
            if target and re.fullmatch(pattern, target[1]):
                yield target[1], path

    def commands(self):
        path = self.build / "compile_commands.json"
        if not path.exists():
            return []
        root = self.source.resolve().as_posix() + "/"
        return [entry for entry in json.loads(path.read_text()) if Path(entry["file"]).resolve().as_posix().startswith(root)]


def text_of(path):
    return path.read_text(encoding="utf-8", errors="replace")


def floor_of(name):
    parts = name.split("/")
    if parts[0] == "tandem":
        return parts[1] if len(parts) > 2 else "base"  # tandem/version.h
    return parts[0]


def is_test(name):
    return name.endswith(("_test.cpp", "_test.h", "_bench.cpp")) or "/test_" in name


def run_tool(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


# --- floors and third-party code -------------------------------------------------------------------------------------


def climbs(own, other):
    """Why a file of floor `own` may not include one of floor `other`; empty when it may."""
    if other not in HEIGHT:
        return f"{other} is no floor"
    if own == "front" and other == "kernels":
        return "front ends meet ops, comm, exec and base only"
    if own != other and HEIGHT[other] >= HEIGHT[own]:
        return f"{own} may not look up to {other}"
    return ""


def check_floors(tree):
    """An include climbs a floor, or names a file that is not there."""
    found = []
    for path in tree.files(*CODE):
        name = tree.name(path)
        for line, header in includes(text_of(path)):
            if header.split("/")[0] not in CODE:
                continue
            why = climbs(floor_of(name), floor_of(header))
            generated = header == "tandem/version.h"
            if not why and not generated and not (tree.source / header).exists():
                why = "no such file"
            if why:
                found.append(f"{name}:{line}: includes {header}: {why}")
    return found


def third_party_rule(header):
    return next((place for pattern, place in THIRD_PARTY.items() if re.match(pattern, header)), None)


def check_third_party(tree):
    """A library's header is included on another floor than its own, or is not on the list at all."""
    found = []
    for path in tree.files(*CODE, "tests", "bench"):
        name = tree.name(path)
        for line, header in includes(text_of(path), angle=True):
            place = third_party_rule(header)
            if place and not re.match(place, name):
                found.append(f"{name}:{line}: <{header}> belongs to {place}")
            known = "/" not in header or header.startswith(SYSTEM_FOLDERS) or name.startswith(("front/", "tests/"))
            if not place and not known:
                found.append(f"{name}:{line}: <{header}> is a library the house does not list (THIRD_PARTY in house.py)")
    return found


# --- operators, environment, documents -------------------------------------------------------------------------------


def operators(tree):
    for path in tree.files("tandem/ops", suffixes=(".h",)):
        if re.search(r"\bplan\(const \w+&", text_of(path)):
            yield path.stem


def case_count(path, operator):
    """Cases of the operator in one file: lists named cases, lines, families or vectors beside "operator"."""
    data = json.loads(text_of(path))
    if data.get("operator") != operator:
        return 0
    return sum(len(data.get(key, [])) for key in ("cases", "lines", "families", "vectors"))


def check_cases(tree):
    """An operator (a header of ops with a plan() of its own) has no cases in tests/cases."""
    listed = list(operators(tree))
    if not listed:
        return ["tandem/ops: no operator found; does plan() still look as house.py expects?"]
    files = list(tree.files("tests/cases", suffixes=(".json",)))
    return [f'tandem/ops/{name}.h: no case in tests/cases (a file with "operator": "{name}")' for name in listed
            if sum(case_count(path, name) for path in files) == 0]


def env_table(tree):
    path = tree.source / "tandem/base/env.cpp"
    return set(re.findall(r'EnvVariable\{"(\w+)"', text_of(path))) if path.exists() else set()


def check_environment(tree):
    """The environment is read outside env.cpp, or a variable is not in the one table."""
    table, found = env_table(tree), []
    if not table:
        return ["tandem/base/env.cpp: the table of environment variables was not found"]
    for path in tree.files(*CODE):
        name, code = tree.name(path), blank_comments(text_of(path))
        for number, line in enumerate(code.split("\n"), 1):
            reads = r"getenv\s*\(" if name in HANDS_ON_ENVIRONMENT else r"getenv\s*\(|\benviron\b"
            if name != "tandem/base/env.cpp" and not is_test(name) and re.search(reads, line):
                found.append(f"{name}:{number}: reads the environment; use tandem/base/env.h")
            for used in re.findall(r'(?:env_text|env_integer|env_number|setenv)\(\s*"(\w+)"', line):
                if used not in table and not is_test(name):
                    found.append(f"{name}:{number}: {used} is not in the table of tandem/base/env.cpp")
    return found


def check_documents(tree):
    """A document names a file of this repository that is not there."""
    found = []
    for name in ("README.md", "README.zh.md", "CONTRIBUTING.md", "SECURITY.md", "docs/house.md", "docs/numerics.md"):
        path = tree.source / name
        if not path.exists():
            found.append(f"{name}: missing")
            continue
        text = text_of(path)
        paths = re.findall(r"`((?:tandem|front|tools|tests|docs|cmake|examples|packaging|model|bench)/[\w./-]*)`", text)
        paths += [p for p in re.findall(r"\]\(([\w./-]+)\)", text) if not p.startswith("http")]
        for wanted in sorted(set(paths)):
            if not (tree.source / wanted).exists() and not (path.parent / wanted).exists():
                found.append(f"{name}: names {wanted}, which is not there")
    return found


# --- numbers: flags, contraction, forbidden names --------------------------------------------------------------------


def check_flags(tree):
    """A file is compiled without -ffp-contract=off or with a fast-math flag."""
    commands, found = tree.commands(), []
    if not commands:
        return ["compile_commands.json: no entry; configure first"]
    for entry in commands:
        words = shlex.split(entry.get("command", "")) or entry.get("arguments", [])
        contract = [word for word in words if word.startswith("-ffp-contract=")]
        if contract[-1:] != ["-ffp-contract=off"]:
            found.append(f"{entry['file']}: compiled without -ffp-contract=off")
        found += [f"{entry['file']}: compiled with {word}" for word in words if word in FAST_MATH]
    return found


def has_fused(path):
    return re.search(r"\bv?fn?m(add|sub)\w*\b|\bfmadd\b|\bfmla\b", run_tool("objdump", "-d", str(path))) is not None


def probe_contracts(compiler, flags):
    """Does this compiler, with these flags, fuse a * b + c?"""
    with tempfile.TemporaryDirectory() as folder:
        source, object_file = Path(folder, "probe.cpp"), Path(folder, "probe.o")
        source.write_text("float probe(float a, float b, float c) { return a * b + c; }\n")
        run_tool(compiler, "-O2", *flags, "-c", str(source), "-o", str(object_file))
        return has_fused(object_file)


def check_contraction(tree):
    """A product and a sum are fused where nobody wrote fma()."""
    if platform.machine() != "x86_64":
        return []
    plain = [path for target, path in tree.objects(r"tandem_(?!isa_avx)\w+")]
    if not any("tandem_isa_portable" in path.as_posix() for path in plain):
        return ["tandem_isa_portable: no objects; build first"]
    found = [f"{path}: contains a fused instruction" for path in plain if has_fused(path)]
    command = next((e["command"] for e in tree.commands() if "TANDEM_ISA=avx2" in e.get("command", "")), "")
    words = [word for word in shlex.split(command) if "ccache" not in word]
    flags = [word for word in words if word.startswith(("-m", "-f")) and "sanitize" not in word]
    if words and probe_contracts(words[0], flags):
        found.append("contraction probe: a * b + c is fused with the flags of avx2")
    if words and not probe_contracts(words[0], flags + ["-ffp-contract=fast"]):
        found.append("contraction probe: cannot see a fused product even when it is asked for")
    return found


def forbidden_in_kernels(name):
    math = "|".join(LIBM)
    rules = [(rf"\bstd::({math})[fl]?\s*\(", "libm"), (rf"(?<![\w.:>])({math})[fl]\s*\(", "libm"),
             (r"\b__builtin_(%s)[fl]?\s*\(" % math, "libm"), (r"\bhwy/contrib/math", "Highway's libm"),
             (r"\bSums?OfLanes\b|\bReduceSum\b|\b(Min|Max)OfLanes\b", "lane reduction of undefined order"),
             (r"\bApproximate\w+", "approximation that differs between CPUs")]
    if not re.search(r"/vec\w*\.h$", name):
        rules.append((r"\b(Neg)?Mul(Add|Sub)\b", "unfused without FMA; use fma() of the vector vocabulary"))
    return rules


def check_forbidden(tree):
    """A kernel, a rope table or the sampler calls what differs between tables or C libraries."""
    found = []
    for path in tree.files("tandem/kernels/cpu", "tandem/llm"):
        name = tree.name(path)
        if is_test(name):
            continue
        for number, line in enumerate(blank_comments(text_of(path)).split("\n"), 1):
            found += [f"{name}:{number}: {why}: {line.strip()[:80]}" for rule, why in forbidden_in_kernels(name)
                      if re.search(rule, line) and "house: libm" not in text_of(path).split("\n")[number - 1]]
    return found


# --- objects ---------------------------------------------------------------------------------------------------------


def symbols(path, demangle=True):
    """(type, name) of every symbol of an object file."""
    for line in run_tool("nm", *(["-C"] if demangle else []), str(path)).splitlines():
        match = re.match(r"^[0-9a-f]*\s+(\w) (.*)$", line)
        if match:
            yield match[1], match[2]


def check_weak_symbols(tree):
    """An ISA object holds a weak symbol another object could share: it might be picked for a CPU that cannot run it."""
    found, seen = [], 0
    for target, path in tree.objects(r"tandem_isa_\w+"):
        seen += 1
        isa = target.removeprefix("tandem_isa_")
        found += [f"{target}/{path.name}: weak {name[:120]}" for kind, name in symbols(path)
                  if kind in "WVu" and f"tandem::{isa}::" not in name]
    return found if seen else ["tandem_isa_*: no objects; build first"]


def kernel_objects(tree, target_pattern, name_pattern=r".*"):
    """Objects of a table whose source is still there."""
    for target, path in tree.objects(target_pattern):
        source = tree.source / "tandem/kernels/cpu" / path.name.removesuffix(".o")
        if re.fullmatch(name_pattern, path.name) and source.exists():
            yield target, path


def known_loop(target, path, finding):
    return next((reason for (isa, name, function), reason in KNOWN_LOOPS.items()
                 if isa == target and name == path.name and re.search(function, finding)), None)


def check_hot_loops(tree):
    """An innermost loop of products stores a sum to the stack, or several of them read the same vector from memory."""
    if platform.machine() != "x86_64":
        return []
    found, seen = [], 0
    for target, path in kernel_objects(tree, r"tandem_isa_avx\w+", r"gemm\w*\.cpp\.o"):
        seen += sum(1 for _ in hot_loops.hot_loops(path))
        for finding in hot_loops.findings(path):
            reason = known_loop(target, path, finding)
            if reason:
                print(f"known: {target}/{path.name}: {finding}: {reason}")
            else:
                found.append(f"{target}/{path.name}: {finding}")
    return found if seen else ["tandem_isa_avx*: no hot loop in any product; is objdump still read well?"]


def check_instructions(tree):
    """A table lacks the instructions it exists for, or holds some that its CPUs do not know."""
    if platform.machine() != "x86_64":
        return []
    found = []
    for target, names, name, register in WANTED_INSTRUCTIONS:
        objects = [path for _, path in kernel_objects(tree, target, names)]
        if not any(hot_loops.count(path, name, register) for path in objects):
            found.append(f"{target}: no {name} on {register} in {len(objects)} objects")
    for target, name, register in UNWANTED_INSTRUCTIONS:
        found += [f"{target}/{path.name}: {name} on {register or 'any register'}"
                  for _, path in kernel_objects(tree, target) if hot_loops.count(path, name, register)]
    return found


def check_kernel_calls(tree):
    """A kernel object calls the C library's mathematics."""
    found, seen = [], 0
    names = {name + suffix for name in LIBM for suffix in ("", "f", "l")}
    for target, path in tree.objects(r"tandem_isa_\w+"):
        seen += 1
        found += [f"{target}/{path.name}: calls {name}" for kind, name in symbols(path, demangle=False)
                  if kind == "U" and name.split("@")[0] in names]
    return found if seen else ["tandem_isa_*: no objects; build first"]


def check_static_initialisers(tree):
    """Code runs when the library is loaded: it could start threads or open descriptors before a program forks."""
    found, seen = [], 0
    for target, path in tree.objects(r"tandem_(isa_\w+|base|exec|kernels|comm|ops|llm|acl|hccl|aclnn|cann|front\w*)"):
        if is_test(path.name.removesuffix(".o")):
            continue
        seen += 1
        found += [f"{target}/{path.name}: {name}" for _, name in symbols(path, demangle=False)
                  if name.startswith(("_GLOBAL__sub_I_", "_GLOBAL__I_")) and path.name not in STATIC_INITIALISERS]
    return found if seen else ["no objects; build first"]


# --- form ------------------------------------------------------------------------------------------------------------


def is_text(path):
    with path.open("rb") as file:
        return b"\0" not in file.read(4096)


def tracked(tree):
    """All text files of the project: what git lists, or every file outside build/ where there is no git."""
    try:
        names = run_tool("git", "-C", str(tree.source), "ls-files", "-z").split("\0")
    except (subprocess.CalledProcessError, FileNotFoundError):
        names = [name for path in tree.source.rglob("*") if not (name := tree.name(path)).startswith(("build/", ".git/"))]
    return [tree.source / name for name in names if name and (tree.source / name).is_file() and is_text(tree.source / name)]


def check_spdx(tree):
    """A source file does not begin with its licence."""
    wanted = re.compile(r"\.(h|c|cpp|py|sh|cmake)$|\.(h|cmake)\.in$|/CMakeLists\.txt$|^CMakeLists\.txt$|^\.ci/run$")
    return [f"{tree.name(path)}: SPDX-License-Identifier missing" for path in tracked(tree)
            if wanted.search(tree.name(path)) and "SPDX-License-Identifier: Apache-2.0" not in "\n".join(text_of(path).split("\n")[:3])]


def check_lengths(tree):
    """A file or a function is longer than the house allows."""
    found = []
    for path in tree.files(*CODE):
        name, text = tree.name(path), text_of(path)
        lines = text.count("\n")
        if lines > FILE_LINES:
            found.append(f"{name}: {lines} lines, at most {FILE_LINES}")
        limit = KERNEL_LINES if name.startswith("tandem/kernels/") else FUNCTION_LINES
        found += [f"{name}:{f.line}: {f.name} has {f.lines} lines, at most {limit}" for f in functions(text)
                  if f.lines > limit and not is_test(name)]
    return found


def check_macros(tree):
    """A function-like macro outside the vendor-shaped headers."""
    found = []
    for path in tree.files(*CODE):
        name = tree.name(path)
        for number, line in enumerate(text_of(path).split("\n"), 1):
            macro = re.match(r"\s*#\s*define\s+(\w+)\(", line)
            if macro and "/include/" not in name and macro[1] not in MACROS:
                found.append(f"{name}:{number}: macro {macro[1]}; write a function or a template")
    return found


def check_mentions(tree):
    """A path of somebody's machine, a package registry's host, or the folder beside the project is mentioned."""
    words = ["/wo" + "rk/", "/fa" + "rm/", "/ro" + "ot/", "/ho" + "me/", "pypi" + r"\.org", r"deb\.deb" + r"ian\.org",
             "archive" + r"\.ubuntu\.com", r"\.\./sha" + r"red(?!/models)"]
    rule = re.compile(r"(?<![\w.])(" + "|".join(words) + ")")
    return [f"{tree.name(path)}:{number}: mentions {match[1]}" for path in tracked(tree)
            for number, line in enumerate(text_of(path).split("\n"), 1) if (match := rule.search(line))]


# --- figures ---------------------------------------------------------------------------------------------------------

OPERATOR = ("front/aclnn/mm_all_reduce_add_rms_norm.cpp", "front/aclnn/two_phase.h", "front/aclnn/two_phase.cpp",
            "tandem/ops/plan.h", "tandem/ops/plan.cpp", "tandem/ops/row_exchange.h", "tandem/ops/row_exchange.cpp")


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0


def figures(tree):
    """Lengths as the house aims at them; printed, not judged (check_lengths judges)."""
    sources = [path for path in tree.files(*CODE) if not is_test(tree.name(path))]
    lengths = [f.lines for path in sources for f in functions(text_of(path))]
    files = [text_of(path).count("\n") for path in sources]
    over = 100.0 * sum(length > 100 for length in lengths) / max(1, len(lengths))
    present = [name for name in OPERATOR if (tree.source / name).exists()]
    others = [tree.name(p) for p in tree.files("tandem/ops") if p.name.startswith("mm_all_reduce")]
    operator = sorted(set(present + [name for name in others if not is_test(name)]))
    lines = sum(text_of(tree.source / name).count("\n") for name in operator)
    return [f"functions: {len(lengths)}, median {statistics.median(lengths or [0]):.0f}, p90 {percentile(lengths, .9)}, "
            f"over 100 lines {over:.1f} % (aim 13 / 50 / 1 %)",
            f"files: {len(files)}, median {statistics.median(files or [0]):.0f}, p90 {percentile(files, .9)}, "
            f"{sum(files)} lines in all (aim: median 150)",
            f"fused operator from front end to tail: {lines} lines (aim < 400) in {', '.join(operator)}"]


CHECKS = {name.removeprefix("check_"): function for name, function in sorted(globals().items())
          if name.startswith("check_")}
NEEDS_PLAIN_OBJECTS = ("contraction", "hot_loops", "instructions", "weak_symbols", "kernel_calls", "static_initialisers")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--source", default=".")
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--sanitized", action="store_true", help="skip what looks into objects (exit code 77)")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--figures", action="store_true")
    parser.add_argument("checks", nargs="*")
    options = parser.parse_args()
    tree = Tree(options.source, options.build)
    if options.list:
        print("\n".join(CHECKS))
        return 0
    if options.figures:
        print("\n".join(figures(tree)))
        return 0
    wanted = options.checks or list(CHECKS)
    if options.sanitized and all(check in NEEDS_PLAIN_OBJECTS for check in wanted):
        print("skipped: sanitizers change the objects this check looks into")
        return 77
    findings = [finding for check in wanted for finding in CHECKS[check](tree)]
    print("\n".join(findings) if findings else f"{', '.join(wanted)}: nothing found")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
