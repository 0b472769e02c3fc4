#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Lines of each parser of foreign messages that the kept inputs and the mutations reach.

coverage.py BUILD   BUILD holds a built fuzz_comm_test; needs clang++, llvm-profdata and llvm-cov. Compiles the parsers
again with clang's coverage, links them with the other objects of BUILD, runs the test and prints a line for each
parser; exit code 1 when one is below 90 %.
"""
import json
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

WANTED = 90.0
# Parser: functions of one file. What takes part in a rendezvous without parsing is left out.
PARSERS = {
    "greeting": ("rendezvous.cpp", r"judge_hello|objection_to|shared_code|text_of"),
    "answer": ("rendezvous.cpp", r"judge_answer|shared_code|text_of"),
    "meeting of hosts": ("rendezvous_tcp.cpp", r"checked_seat|read_hello|read_answer|text_of|legal_window"),
    "greeting of hosts": ("greetings.cpp", r"read_greeting"),
    "address": ("tcp.cpp", r"is_tcp|tcp_place"),
    "window header": ("segment.cpp", r"checked_size|check_identity|SegmentMap::adopt"),
    "window contents": ("board.cpp", r"Board::(blocked|culprit_of|claimant|failure_of|published|reached|left|inside|steps)"),
    "calls in windows": ("fingerprint.cpp", r"load_fingerprint|describe\w*|compare_calls|same_call|printable|digest_of|agreeing"),
}
FLAGS = ["-fprofile-instr-generate", "-fcoverage-mapping", "-O0"]


def run(command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout


def instrumented(build, source, work):
    """Object of `source` compiled anew with coverage."""
    entries = json.loads((build / "compile_commands.json").read_text())
    entry = next(e for e in entries if e["file"].endswith("/comm/" + source))
    words = [w for w in shlex.split(entry["command"]) if "ccache" not in w]
    target = work / (source + ".o")
    words[0] = "clang++"
    words[words.index("-o") + 1] = str(target)
    run(words + FLAGS + ["-Wno-everything"], cwd=entry["directory"])
    return target


def link(build, objects, work):
    """fuzz_comm_test with those objects in place of the build's."""
    command = [line for line in run(["ninja", "-C", str(build), "-t", "commands", "fuzz_comm_test"]).splitlines()
               if " -o tests/fuzz/fuzz_comm_test" in line or "fuzz_comm_test " in line and ".o " in line][-1]
    words = shlex.split(re.split(r" && ", command.removeprefix(": && "))[0])
    words = [str(objects.get(Path(w).name, w)) if "tandem_comm.dir" in w else w for w in words]
    words[0] = "clang++"
    program = work / "fuzz"
    words[words.index("-o") + 1] = str(program)
    run(words + FLAGS, cwd=build)
    return program


def lines_of(report, source, functions):
    """(lines, missed) of the functions of that file in llvm-cov's report."""
    total = missed = 0
    current = ""
    for line in report.splitlines():
        if line.startswith("File '"):
            current = line
            continue
        match = re.match(r"(.*?)\s+(\d+)\s+(\d+)\s+[\d.]+%\s+(\d+)\s+(\d+)\s+[\d.]+%", line)
        if not match or "/comm/" + source not in current or not re.search(rf"\b({functions})\b", match[1]):
            continue
        total, missed = total + int(match[4]), missed + int(match[5])
    return total, missed


def main():
    build = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        sources = sorted({source for source, _ in PARSERS.values()})
        program = link(build, {source + ".o": instrumented(build, source, work) for source in sources}, work)
        run([program], env={"LLVM_PROFILE_FILE": str(work / "raw"), "PATH": "/usr/bin:/bin"})
        run(["llvm-profdata", "merge", "-o", str(work / "data"), str(work / "raw")])
        files = [e["file"] for e in json.loads((build / "compile_commands.json").read_text())
                 if any(e["file"].endswith("/comm/" + s) for s in sources)]
        report = run(["llvm-cov", "report", str(program), f"-instr-profile={work / 'data'}", "-show-functions",
                      "-Xdemangler=c++filt", *sorted(set(files))])
    poor = False
    for name, (source, functions) in PARSERS.items():
        total, missed = lines_of(report, source, functions)
        share = 100.0 * (total - missed) / total if total else 0.0
        poor = poor or share < WANTED
        print(f"{name:18} {share:5.1f} % of {total} lines")
    return 1 if poor else 0


if __name__ == "__main__":
    sys.exit(main())
