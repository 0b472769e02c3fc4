# SPDX-License-Identifier: Apache-2.0
"""The vendor's HCCL examples and hccl_test, built by their own Makefiles against P/cann. Used by run.py."""
import fnmatch
import pathlib
import re
import shutil
import subprocess
import tempfile
import time

RANKS = 8  # devices of the examples: TANDEM_DEVICES
OUTPUT = re.compile(r"rankId: (\d+), output: \[(.*?)\]")
WRONG = re.compile(r"^(?!\[tandem\]).*(?:return err|failed)", re.MULTILINE)  # our log may say the word, too
RANGE = list(range(RANKS))

# What each rank prints, from the input its example makes; None: rank r's memory is not written.
EXPECTED = {
    "01_send_recv": lambda r: [r - 1] * RANKS if r % 2 else None,
    "02_batch_send_recv_ring": lambda r: [(r - 1) % RANKS] * RANKS,
    "01_allreduce": lambda r: [RANKS * i for i in RANGE],
    "02_broadcast": lambda r: RANGE,
    "03_allgather": lambda r: RANGE,
    "04_reduce_scatter": lambda r: [RANKS * r],
    "05_reduce": lambda r: [RANKS * i for i in RANGE] if r == 0 else None,
    "06_alltoall": lambda r: RANGE,
    "07_alltoallv": lambda r: RANGE,
    "08_alltoallvc": lambda r: RANGE,
    "09_scatter": lambda r: [r],
}

REDUCING = ["all_reduce_test", "reduce_scatter_test", "reduce_scatterv_test", "reduce_test"]
MOVING = ["all_gather_test", "all_gatherv_test", "alltoall_test", "alltoallv_test", "alltoallvc_test", "broadcast_test",
          "scatter_test"]
TYPES = ["fp32", "fp16", "bfp16", "int8", "int32", "int64"]
OPERATIONS = ["sum", "prod", "max", "min"]
# Pairs that the vendor's documents exclude from reductions.
EXCLUDED = {("bfp16", "prod"): "the vendor's documents exclude products of bfp16"}
ROW = re.compile(r"^\s*(\d+)\s*\|?\s*([\d.]+)\s*\|?\s*([\d.]+)\s*\|?\s*(\w+)\s*$", re.MULTILINE)
MPI_HOMES = ["/usr/lib/x86_64-linux-gnu/openmpi", "/usr/lib/aarch64-linux-gnu/openmpi"]


def run(command, env, folder, limit):
    start = time.monotonic()
    try:
        done = subprocess.run(command, env=env, cwd=folder, timeout=limit, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        code, output = done.returncode, done.stdout
    except subprocess.TimeoutExpired as late:
        code, output = "timeout", late.stdout or b""
    return code, output.decode(errors="replace"), time.monotonic() - start


def new_row(name, wanted):
    return {"name": name, "reason": "", "built": False, "ran": False, "ok": False, "success": 0, "wanted": wanted,
            "seconds": 0, "missing": [], "output": ""}


# --- examples ---------------------------------------------------------------------------------------------------------


def right_values(name, output):
    """Of how many ranks the printed values are the expected ones."""
    printed = {int(rank): [float(value) for value in values.split()] for rank, values in OUTPUT.findall(output)}
    wanted = {rank: EXPECTED[name](rank) for rank in RANGE}
    return sum(values is not None and printed.get(rank) == values for rank, values in wanted.items())


def try_example(folder, row, env, timeout):
    with tempfile.TemporaryDirectory(prefix="tandem-vendor-") as place:
        copy = pathlib.Path(place) / folder.name
        shutil.copytree(folder, copy)
        code, output, _ = run(["make"], env, copy, timeout)
        row["built"] = code == 0
        if code == 0:
            code, output, row["seconds"] = run(["make", "test"], dict(env, TANDEM_DEVICES=str(RANKS)), copy, timeout)
            row.update(ran=code == 0, seconds=round(row["seconds"], 2), success=right_values(folder.name, output))
            row["ok"] = row["ran"] and row["success"] == row["wanted"] and not WRONG.search(output)
    row["output"] = "" if row["ok"] else output[-2000:]


def example_rows(root, arguments, env):
    """One row for each host program of the vendor's hccl repository."""
    for makefile in sorted(root.glob("examples/*/*/Makefile")):
        folder, path = makefile.parent, makefile.parent.relative_to(root).as_posix()
        if folder.name not in EXPECTED or not (folder / "main.cc").exists() or not fnmatch.fnmatch(path, arguments.only):
            continue
        wanted = sum(EXPECTED[folder.name](rank) is not None for rank in RANGE)
        row = new_row(f"{root.name}:{path}", wanted)
        try_example(folder, row, env, arguments.timeout)
        yield row


# --- hccl_test --------------------------------------------------------------------------------------------------------


def mpi_home(arguments):
    homes = [arguments.mpi_home] if arguments.mpi_home else MPI_HOMES
    return next((home for home in homes if home and (pathlib.Path(home) / "include/mpi.h").exists()), None)


def lay_out_mpi(home, folder):
    """MPI_HOME without the C++ bindings, which Debian's library leaves to another one that hccl_test does not link."""
    (folder / "include").mkdir(parents=True)
    header = pathlib.Path(home) / "include/mpi.h"
    text = f'#define OMPI_SKIP_MPICXX 1\n#define MPICH_SKIP_MPICXX 1\n#include "{header}"\n'
    (folder / "include/mpi.h").write_text(text)
    (folder / "lib").symlink_to(pathlib.Path(home) / "lib")
    return folder


def combinations():
    for binary in REDUCING:
        for dtype in TYPES:
            for operation in OPERATIONS:
                yield binary, dtype, operation
    for binary in MOVING:
        for dtype in TYPES:
            yield binary, dtype, None


def try_binary(binaries, combination, ranks, row, arguments, env):
    binary, dtype, operation = combination
    command = ["mpirun", "-n", str(ranks), "--oversubscribe", "--allow-run-as-root", "--bind-to", "none",
               str(binaries / binary), "-p", str(ranks), "-b", "1K", "-e", "1M", "-f", "32", "-n", "3", "-w", "1", "-d",
               dtype]
    command += ["-o", operation] if operation else []
    code, output, row["seconds"] = run(command, env, binaries, arguments.timeout)
    results = [result for _, _, _, result in ROW.findall(output)]
    row.update(built=True, ran=code == 0, seconds=round(row["seconds"], 2), success=results.count("success"))
    # The test itself leaves unchecked (NULL) what overflows its type; a row that says nothing else is none of ours.
    unchecked = results.count("NULL")
    row["wanted"] = 3 - unchecked
    row["ok"] = row["ran"] and len(results) == 3 and row["success"] == row["wanted"] and not WRONG.search(output)
    row["unchecked"] = unchecked
    row["output"] = "" if row["ok"] else output[-2000:]


def hccl_test_rows(root, arguments, env):
    """A row for each binary, type, reduction and number of ranks."""
    for folder in sorted(path.parent for path in root.rglob("hccl_test/Makefile")):
        if not fnmatch.fnmatch(folder.relative_to(root).as_posix(), arguments.only):
            continue
        home = mpi_home(arguments)
        if home is None:
            row = new_row(f"{root.name}:hccl_test", 0)
            row["reason"] = "no MPI: libopenmpi-dev and openmpi-bin, or --mpi-home, wanted"
            print(f"{row['name']}: not tried: {row['reason']}", flush=True)
            yield row
            continue
        with tempfile.TemporaryDirectory(prefix="tandem-vendor-") as place:
            copy = pathlib.Path(place) / "hccl_test"
            shutil.copytree(folder, copy)
            mpi = lay_out_mpi(home, pathlib.Path(place) / "mpi")
            code, output, _ = run(["make", f"MPI_HOME={mpi}", f"ASCEND_DIR={arguments.prefix}"], env, copy, 1200)
            if code != 0:
                row = new_row(f"{root.name}:hccl_test make", 1)
                row["output"] = output[-2000:]
                yield row
                continue
            yield from run_binaries(copy / "bin", root.name, arguments, env)


def run_binaries(binaries, name, arguments, env):
    for combination in combinations():
        for ranks in arguments.ranks:
            binary, dtype, operation = combination
            row = new_row(f"{name}:{binary} -n {ranks} {dtype} {operation or ''}".strip(), 3)
            row["reason"] = EXCLUDED.get((dtype, operation), "")
            if not row["reason"]:
                try_binary(binaries, combination, ranks, row, arguments, env)
            yield row


def rows(root, arguments, env):
    env = dict(env, OMPI_MCA_btl_vader_single_copy_mechanism="none")
    yield from example_rows(root, arguments, env)
    yield from hccl_test_rows(root, arguments, env)
