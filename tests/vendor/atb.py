# SPDX-License-Identifier: Apache-2.0
"""The vendor's ATB demos (example/op_demo of ascend-transformer-boost), built with the line of their build.sh. Used by run.py."""
import fnmatch
import pathlib
import re
import tempfile

import hccl

FAILURE = re.compile(r"\[ErrorCode\]|error!|Failed to")
SUCCESS = re.compile(r"success|finished!", re.IGNORECASE)
MISSING = re.compile(r"undefined reference to `([^']+)'|error: ‘(\w+)’ is not a member|fatal error: (\S+): No such file")


def build_line(source, binary, prefix):
    return ["g++", "-D_GLIBCXX_USE_CXX11_ABI=1", "-I", f"{prefix}/include", "-L", f"{prefix}/lib", "-L", f"{prefix}/lib64",
            str(source), "-l", "atb", "-l", "ascendcl", "-l", "pthread", "-o", str(binary)]


def try_demo(demo, row, arguments, env):
    with tempfile.TemporaryDirectory(prefix="tandem-vendor-") as place:
        binary = pathlib.Path(place) / "demo"
        code, output, _ = hccl.run(build_line(demo, binary, arguments.prefix), env, demo.parent, arguments.timeout)
        row["built"] = code == 0
        row["missing"] = sorted({next(filter(None, found)) for found in MISSING.findall(output)})
        if code == 0:
            # Ranks of other programs meet elsewhere.
            own = dict(env, ATB_SHARE_MEMORY_NAME_SUFFIX=pathlib.Path(place).name)
            code, output, seconds = hccl.run([str(binary)], own, place, arguments.timeout)
            row.update(ran=code == 0, seconds=round(seconds, 2), success=min(1, len(SUCCESS.findall(output))))
            row["ok"] = row["ran"] and row["success"] == 1 and not FAILURE.search(output)
    row["output"] = "" if row["ok"] else output[-2000:]


def rows(folder, arguments, env, out_of_scope):
    for demo in sorted(folder.rglob("op_demo/*/*.cpp")):
        path = demo.relative_to(folder).as_posix()
        if not fnmatch.fnmatch(path, arguments.only):
            continue
        row = hccl.new_row(f"{folder.name}:{path}", 1)
        row["reason"] = out_of_scope(path)
        if not row["reason"]:
            try_demo(demo, row, arguments, env)
        yield row
