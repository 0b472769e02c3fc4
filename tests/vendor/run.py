#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Builds and runs the vendor's samples against P/cann; one row per program. See run.sh."""
import argparse
import fnmatch
import itertools
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import tempfile
import time

import atb
import hccl

HERE = pathlib.Path(__file__).resolve().parent
OWN_HEADER = re.compile(r'#include\s+"(\.\./op_(?:host/op_)?api/(aclnn_\w+\.h))"')
RANKS = re.compile(r"\b(?:ndev|DEV_NUM|dev_num|EP_WORLD_SIZE|RANK_NUM)\s*=\s*(\d+)")
SUCCESS = re.compile(r"execute success")
FAILURE = re.compile(r"ERROR|failed|\[ErrorCode\]")
MISSING = re.compile(r"undefined reference to `([^']+)'")
NO_HEADER = re.compile(r"fatal error: (\S+): No such file")


def out_of_scope(path):
    for line in (HERE / "out_of_scope.txt").read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        pattern, reason = line.split(None, 1)
        if fnmatch.fnmatch(path, pattern):
            return "" if reason == "run" else reason
    return ""


def single_device():
    lines = (HERE / "single_device.txt").read_text().splitlines()
    return {line for line in lines if line and not line.startswith("#")}


def build_line(source, binary, prefix, old_layout):
    """The g++ line of the vendor's build.sh: of releases with the header beside the sample, or of later ones."""
    home, opp = prefix, prefix / "opp"
    line = ["g++", source, "-I", home / "include", "-I", home / "include/aclnn"]
    if old_layout:
        line += ["-I", opp / "include/aclnnop", "-L", opp / "lib64", "-L", home / "lib64", "-lopapi",
                 "-lopapi_transformer", "-lascendcl", "-lnnopbase", "-lpthread", "-lhccl"]
    else:
        line += ["-I", home / f"{platform.machine()}-linux/include/aclnnop", "-L", opp / "lib64", "-L", home / "lib64",
                 "-lopapi_math", "-lopapi_transformer", "-lascendcl", "-lnnopbase", "-lc_sec", "-lpthread",
                 "-Wl,--no-as-needed", "-lhccl", "-lhccl_fwk"]
    return [str(part) for part in line + ["-o", binary]]


def lay_out(sample, folder):
    """A copy of the sample, and beside it the headers it names by relative path, each forwarding to ours."""
    text = sample.read_text(errors="replace")
    examples = folder / "examples"
    examples.mkdir(parents=True)
    source = examples / sample.name
    source.write_bytes(sample.read_bytes())
    forwarded = OWN_HEADER.findall(text)
    for relative, name in forwarded:
        header = (examples / relative).resolve()
        header.parent.mkdir(parents=True, exist_ok=True)
        header.write_text(f'#include "aclnnop/{name}"\n')
    return source, text, bool(forwarded)


def environment(prefix):
    env = dict(os.environ)
    env.update(ASCEND_HOME_PATH=str(prefix), ASCEND_TOOLKIT_HOME=str(prefix), ASCEND_OPP_PATH=str(prefix / "opp"),
               LD_LIBRARY_PATH=str(prefix / "lib64"))
    return env


def execute(binary, env, limit):
    start = time.monotonic()
    try:
        done = subprocess.run([str(binary)], env=env, timeout=limit, cwd=binary.parent, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        output, code = done.stdout, done.returncode
    except subprocess.TimeoutExpired as late:
        output, code = late.stdout or b"", "timeout"
    return output.decode(errors="replace"), code, time.monotonic() - start


def wanted_lines(name, ranks):
    """Lines that say success: one a rank; programs of one device print results instead and return 0."""
    if not name.partition(":")[2].startswith("mc2/"):
        return 0
    return int(ranks.group(1)) if ranks else 1


def try_sample(sample, row, arguments):
    with tempfile.TemporaryDirectory(prefix="tandem-vendor-") as place:
        folder = pathlib.Path(place)
        source, text, old_layout = lay_out(sample, folder / "operator")
        binary = folder / "sample"
        env = environment(arguments.prefix)
        built = subprocess.run(build_line(source, binary, arguments.prefix, old_layout), env=env, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        row["built"] = built.returncode == 0
        row["missing"] = sorted(set(MISSING.findall(built.stdout)) | set(NO_HEADER.findall(built.stdout)))
        if not row["built"]:
            row["output"] = built.stdout[-2000:]
            return
        output, code, seconds = execute(binary, env, arguments.timeout)
    ranks = RANKS.search(text)
    row.update(ran=code == 0, exit=code, seconds=round(seconds, 2), success=len(SUCCESS.findall(output)),
               wanted=wanted_lines(row["name"], ranks))
    row["ok"] = row["ran"] and row["success"] >= row["wanted"] and not FAILURE.search(output)
    if not row["ok"]:
        row["output"] = output[-2000:]


def samples_of(folder, only):
    for sample in sorted(folder.rglob("test_*.cpp")):
        path = sample.relative_to(folder).as_posix()
        if "/examples/" in path and fnmatch.fnmatch(path, only):
            yield sample, path


def show(row):
    if row["reason"]:
        return
    print(f"{row['name']}: built {'yes' if row['built'] else 'NO'}, ran {'yes' if row['ran'] else 'NO'}, "
          f"success lines {row['success']} of {row['wanted']}, {row['seconds']} s, "
          f"missing: {', '.join(row['missing']) or 'nothing'}{'' if row['ok'] else '  <-- FAILED'}", flush=True)
    if not row["ok"]:
        print("    " + row.get("output", "").strip().replace("\n", "\n    "))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prefix", type=pathlib.Path, default=os.environ.get("ASCEND_HOME_PATH"),
                        help="install prefix, or its cann folder (default: $ASCEND_HOME_PATH)")
    parser.add_argument("--json", action="store_true", help="print the rows as one JSON array")
    parser.add_argument("--timeout", type=float, default=120, help="seconds one program may run")
    parser.add_argument("--only", default="*", help="glob over the path in the checkout")
    parser.add_argument("--mpi-home", help="folder with include/mpi.h and lib/libmpi.so (default: Debian's Open MPI)")
    parser.add_argument("--ranks", type=lambda text: [int(part) for part in text.split(",")], default=[2, 4, 8],
                        help="numbers of ranks for hccl_test (default: 2,4,8)")
    parser.add_argument("folders", nargs="+", type=pathlib.Path, metavar="DIR")
    arguments = parser.parse_args()
    if arguments.prefix is None:
        parser.error("--prefix is wanted, or source P/cann/set_env.sh first")
    arguments.prefix = pathlib.Path(arguments.prefix).resolve()
    if (arguments.prefix / "cann").is_dir():
        arguments.prefix = arguments.prefix / "cann"
    rows, once = [], single_device()
    listed = set(once)
    for folder in arguments.folders:
        for sample, path in samples_of(folder.resolve(), arguments.only):
            row = {"name": f"{folder.name}:{path}", "path": path, "reason": "" if path in once else out_of_scope(path), "built": False, "ran": False, "ok": False,
                   "success": 0, "wanted": 0, "seconds": 0, "missing": []}
            if path in listed and path not in once:
                row["reason"] = "counted in another checkout"
            once.discard(path)
            if not row["reason"]:
                try_sample(sample, row, arguments)
            rows.append(row)
            if not arguments.json:
                show(row)
        env = environment(arguments.prefix)
        others = itertools.chain(hccl.rows(folder.resolve(), arguments, env),
                                 atb.rows(folder.resolve(), arguments, env, out_of_scope))
        for row in others:
            rows.append(row)
            if not arguments.json:
                show(row)
    tried = [row for row in rows if not row["reason"]]
    passed = sum(row["ok"] for row in tried)
    if arguments.json:
        print(json.dumps(rows, indent=1))
    else:
        alone = [row for row in tried if row.get("path") in listed]
        if alone:
            print(f"samples of one device (single_device.txt): {sum(row['ok'] for row in alone)} of {len(alone)} succeeded")
        print(f"vendor samples: {len(rows)} found, {len(rows) - len(tried)} out of scope (out_of_scope.txt), "
              f"{passed} of {len(tried)} succeeded")
    return 0 if tried and passed == len(tried) else 1


if __name__ == "__main__":
    sys.exit(main())
