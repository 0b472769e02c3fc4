#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Plants one violation of each house rule in a temporary tree and wants exactly that rule to find it."""
import json
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import hot_loops
import house
from cpp import functions

SPDX = "// SPDX-License-Identifier: Apache-2.0\n"
ISA = "tandem/CMakeFiles/tandem_isa_portable.dir/kernels/cpu/"
AVX2, VNNI = ISA.replace("portable", "avx2"), ISA.replace("portable", "avx512_vnni")
PAGES = ("README.md", "README.zh.md", "CONTRIBUTING.md", "SECURITY.md", "docs/house.md", "docs/numerics.md")
X86 = platform.machine() == "x86_64"


def write(root, name, text):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


COMPILED = {}


def compile_object(root, name, code, *flags):
    target = root / "build" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    if (code, flags) not in COMPILED:
        source = write(root, "scratch.cpp", code)
        subprocess.run(["g++", "-c", *(flags or ("-O2",)), str(source), "-o", str(target)], check=True)
        source.unlink()
        COMPILED[code, flags] = target.read_bytes()
    target.write_bytes(COMPILED[code, flags])
    hot_loops.disassemble.cache_clear()


def loop_of(*lines):
    """A function that is one loop of these instructions."""
    text = "\\n".join(("1:",) + lines + ("decq %0", "jnz 1b"))
    return f'void loop(long n) {{ asm volatile("{text.replace("%", "%%").replace("%%0", "%0")}" : "+r"(n)); }}'


def products(name, register, count=8):
    return [f"{name} %{register}15, %{register}14, %{register}{i}" for i in range(count)]


def products_of_tables(root):
    """For each table the products it must hold."""
    for isa, register, whole in (("avx2", "ymm", "vpmaddwd"), ("avx512", "zmm", "vpmaddwd"),
                                 ("avx512_vnni", "zmm", "vpdpbusd")):
        folder = ISA.replace("portable", isa)
        compile_object(root, folder + "gemm.cpp.o", loop_of(*products("vfmadd231ps", register)))
        compile_object(root, folder + "gemm_integer.cpp.o", loop_of(*products(whole, register)))


# More sums than there are registers.
SPILLS = """typedef float V __attribute__((vector_size(32)));
void f(const V* a, const V* b, V* y, long n) {
  V sum[20] = {};
  for (long k = 0; k < n; ++k) {
#pragma GCC unroll 20
    for (int i = 0; i < 20; ++i) sum[i] = __builtin_ia32_vfmaddps256(a[20 * k + i], b[k], sum[i]);
  }
  for (int i = 0; i < 20; ++i) y[i] = sum[i];
}"""
FITS = SPILLS.replace("20", "8")
FOLDS = loop_of(*(f"vfmadd231ps 32(%rax), %ymm15, %ymm{i}" for i in range(8)))
MOVES = loop_of(*(line for i in range(8) for line in (f"vfmadd231ps (%rax), %ymm15, %ymm{i}", "addq $32, %rax")))


def command(root, name, flags):
    return {"directory": str(root), "file": str(root / name), "command": f"g++ {flags} -c {root / name}"}


def clean_tree(root):
    """A small project in which no rule finds anything."""
    write(root, "tandem/base/env.cpp", SPDX + 'EnvVariable{"TANDEM_X", "text"};\nvoid* p = getenv("TANDEM_X");\n')
    write(root, "tandem/ops/sum.h", SPDX + '#include "tandem/base/env.h"\nPlan plan(const Sum& op, Device& device);\n')
    write(root, "tandem/base/env.h", SPDX)
    write(root, "tandem/kernels/cpu/add.cpp", SPDX + "#include <hwy/highway.h>\nvoid add() {}\n")
    write(root, "tandem/kernels/cpu/gemm.cpp", SPDX)
    write(root, "tandem/kernels/cpu/gemm_integer.cpp", SPDX)
    write(root, "front/acl/rt.cpp", SPDX)
    write(root, "tools/tandem.cpp", SPDX + "#include <CLI/CLI.hpp>\n")
    write(root, "tests/cases/sum.json", '{"operator": "sum", "cases": [{}]}')
    for page in PAGES:
        write(root, page, "See `tandem/base/env.h`.\n")
    write(root, "build/compile_commands.json", json.dumps([command(root, "tandem/base/env.cpp", "-ffp-contract=off")]))
    compile_object(root, ISA + "add.cpp.o", "namespace tandem::portable { float add(float a) { return a + a; } }")
    compile_object(root, "tandem/CMakeFiles/tandem_base.dir/base/env.cpp.o", "int plain() { return 1; }")
    if X86:
        products_of_tables(root)


def long_function(lines):
    return SPDX + "int f(int a) {\n" + "  a += 1;\n" * (lines - 3) + "  return a;\n}\n"


def plant_contraction(root):
    code = "namespace tandem::portable { float f(float a, float b, float c) { return a * b + c; } }"
    compile_object(root, ISA + "add.cpp.o", code, "-O2", "-mfma", "-ffp-contract=fast")


def commands_of(flags):
    return lambda root: write(root, "build/compile_commands.json",
                              json.dumps([command(root, "tandem/base/env.cpp", flags)]))


def file_with(name, text):
    return lambda root: write(root, name, text)


def object_with(name, code, *flags):
    return lambda root: compile_object(root, name, code, *flags)


# (rule that must find it, what is planted, a word of the finding)
PLANTED = [
    ("floors", file_with("tandem/base/a.h", SPDX + '#include "tandem/ops/sum.h"\n'), "may not look up"),
    ("floors", file_with("tandem/llm/a.h", SPDX + '#include "front/acl/rt.h"\n'), "may not look up"),
    ("floors", file_with("front/acl/a.cpp", SPDX + '#include "tandem/kernels/table.h"\n'), "front ends meet"),
    ("floors", file_with("tools/a.cpp", SPDX + '#include "tandem/base/gone.h"\n'), "no such file"),
    ("third_party", file_with("tandem/ops/a.cpp", SPDX + "#include <hwy/highway.h>\n"), "belongs to"),
    ("third_party", file_with("tandem/exec/device.cpp", SPDX + "#include <hwloc.h>\n"), "belongs to"),
    ("third_party", file_with("tandem/kernels/cpu/a.cpp", SPDX + "#include <fmt/format.h>\n"), "belongs to"),
    ("third_party", file_with("tandem/base/a.cpp", SPDX + "#include <boost/any.hpp>\n"), "does not list"),
    ("cases", file_with("tests/cases/sum.json", '{"operator": "sum", "cases": []}'), "sum.h: no case"),
    ("cases", lambda root: (root / "tandem/ops/sum.h").unlink(), "no operator found"),
    ("environment", file_with("tandem/exec/a.cpp", SPDX + 'auto p = std::getenv("HOME");\n'), "reads the environment"),
    ("environment", file_with("tandem/exec/a.cpp", SPDX + 'auto p = env_text("TANDEM_Y");\n'), "TANDEM_Y is not in"),
    ("documents", file_with("docs/house.md", "See `tandem/base/gone.h`.\n"), "names tandem/base/gone.h"),
    ("flags", commands_of("-O2"), "without -ffp-contract=off"),
    ("flags", commands_of("-ffp-contract=off -ffp-contract=fast"), "without -ffp-contract=off"),
    ("flags", commands_of("-ffp-contract=off -ffast-math"), "-ffast-math"),
    ("flags", lambda root: (root / "build/compile_commands.json").unlink(), "no entry"),
    ("forbidden", file_with("tandem/kernels/cpu/a.cpp", SPDX + "float f(float x) { return std::exp(x); }\n"), "libm"),
    ("forbidden", file_with("tandem/kernels/cpu/a.cpp", SPDX + "auto f = hn::MulAdd(a, b, c);\n"), "use fma()"),
    ("forbidden", file_with("tandem/kernels/cpu/a.cpp", SPDX + "auto f = hn::SumOfLanes(d, a);\n"), "lane reduction"),
    ("forbidden", file_with("tandem/llm/rope.cpp", SPDX + "float f(float x) { return cosf(x); }\n"), "libm"),
    ("weak_symbols", object_with(ISA + "add.cpp.o", "inline int f() { return 1; } int (*p)() = f;", "-O0"), "weak f()"),
    ("weak_symbols", object_with(AVX2 + "add.cpp.o", "namespace hwy { inline int f() { return 1; } int (*p)() = f; }", "-O0"),
     "weak hwy::f()"),
    ("weak_symbols", lambda root: [path.unlink() for path in (root / "build").rglob("*.o")], "no objects"),
    ("kernel_calls", object_with(ISA + "add.cpp.o", 'extern "C" float expf(float); float g(float x) { return expf(x); }'),
     "calls expf"),
    ("static_initialisers", object_with("tandem/CMakeFiles/tandem_base.dir/a.cpp.o", "struct S { S(); }; S s;"),
     "_GLOBAL__sub_I"),
    ("spdx", file_with("tandem/base/a.h", "#pragma once\n"), "SPDX-License-Identifier missing"),
    ("lengths", file_with("tandem/base/a.cpp", SPDX + "int a;\n" * 500), "501 lines"),
    ("lengths", file_with("tandem/base/a.cpp", long_function(61)), "f has 61 lines"),
    ("lengths", file_with("tandem/kernels/cpu/a.cpp", long_function(121)), "f has 121 lines"),
    ("macros", file_with("tandem/base/a.h", SPDX + "#define SQUARE(x) ((x) * (x))\n"), "macro SQUARE"),
    ("mentions", file_with("docs/a.md", "see /ro" + "ot/a\n"), "mentions"),
    ("mentions", file_with("docs/a.md", "from https://py" + "pi.org/x\n"), "mentions"),
]
if X86:
    PLANTED += [
        ("contraction", plant_contraction, "contains a fused instruction"),
        ("hot_loops", object_with(AVX2 + "gemm.cpp.o", SPILLS, "-O2", "-mfma"), "sums stored to the stack"),
        ("hot_loops", object_with(AVX2 + "gemm.cpp.o", FOLDS), "0x20(%rax) read from memory by each"),
        ("hot_loops", lambda root: [path.unlink() for path in (root / "build").rglob("gemm*.o")], "no hot loop"),
        ("instructions", lambda root: (root / "build" / (AVX2 + "gemm_integer.cpp.o")).unlink(), "no vpmaddwd on ymm"),
        ("instructions", object_with(VNNI + "gemm_integer.cpp.o", "void f() {}"), "no vpdpbusd"),
        ("instructions", object_with(AVX2 + "add.cpp.o", loop_of(*products("vpdpbusd", "ymm"))), "vpdp on any"),
        ("instructions", object_with(AVX2 + "add.cpp.o", loop_of(*products("vaddps", "zmm"))), "v on zmm"),
        ("instructions", object_with(ISA + "add.cpp.o", loop_of(*products("vaddps", "ymm"))), "v on ymm")]


def expect(holds, text):
    if not holds:
        raise SystemExit(f"house self-test: {text}")


def test_clean():
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        clean_tree(root)
        tree = house.Tree(root, root / "build")
        for name, check in house.CHECKS.items():
            expect(not check(tree), f"{name} finds something in a clean tree: {check(tree)}")


def test_planted(name, plant, word):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        clean_tree(root)
        plant(root)
        found = house.CHECKS[name](house.Tree(root, root / "build"))
        expect(any(word in finding for finding in found), f"{name} does not see '{word}': {found}")


def test_hot_loops():
    """Sums that fit into registers and operands that move are no findings."""
    for code, flags in ((FITS, ("-O2", "-mfma")), (MOVES, ("-O2",))):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            clean_tree(root)
            compile_object(root, AVX2 + "gemm.cpp.o", code, *flags)
            path = root / "build" / AVX2 / "gemm.cpp.o"
            expect(len(list(hot_loops.hot_loops(path))) == 1, "a loop of eight products is not seen as one")
            expect(not list(hot_loops.findings(path)), f"a sound loop has findings: {list(hot_loops.findings(path))}")


def test_functions():
    code = ("struct A : B {\n  A(int x) : a_{x}, b_(x) {\n    run([&] {\n      if (x) { go(); }\n    });\n  }\n"
            "  int a_{0};\n};\n"
            "enum class E { a, b };\nconst int table[] = {1, 2};\n"
            "template <class T>\nauto f(T t = {}) -> int {\n  return t;  // }\n}\n")
    found = [(f.name, f.lines) for f in functions(code)]
    expect(found == [("A", 5), ("f", 4)], f"functions() sees {found}")


def main():
    test_functions()
    test_clean()
    if X86:
        test_hot_loops()
    for planted in PLANTED:
        test_planted(*planted)
    untested = set(house.CHECKS) - {name for name, _, _ in PLANTED}
    if not X86:
        untested -= {"contraction", "hot_loops", "instructions"}
    expect(not untested, f"no planted violation for {sorted(untested)}")
    print(f"{len(PLANTED)} planted violations found by {len(house.CHECKS)} checks; a clean tree passes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
