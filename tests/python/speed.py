# SPDX-License-Identifier: Apache-2.0
"""all_reduce and uneven reduce_scatter through c10d, tandem and gloo in turns in one run: medians, best rounds, ratios."""
import statistics
import sys
import time

from torch_parts import spawn

import torch
import torch.distributed as dist

import tandem
import tandem.c10d  # noqa: F401

SIZES = (16 << 10, 1 << 20, 16 << 20)


def round_of(group, x, rounds):
    """Microseconds of each call."""
    times = []
    for _ in range(rounds):
        dist.barrier(group)
        begun = time.perf_counter()
        dist.all_reduce(x, group=group)
        times.append((time.perf_counter() - begun) * 1e6)
    return times


def scattered(group, name, x, counts, rounds):
    """Uneven reduce_scatter; gloo has none, so it reduces everything and keeps its part."""
    times, out = [], torch.empty(counts[dist.get_rank()])
    start = sum(counts[:dist.get_rank()])
    for _ in range(rounds):
        dist.barrier(group)
        begun = time.perf_counter()
        if name == "tandem":
            group.reduce_scatter_tensor_uneven(out, x, counts).wait()
        else:
            copy = x.clone()
            dist.all_reduce(copy, group=group)
            out.copy_(copy[start:start + out.numel()])
        times.append((time.perf_counter() - begun) * 1e6)
    return times


def report(what, times):
    ours, theirs = times["tandem"], times["gloo"]
    print(f"{what}: tandem {statistics.median(ours):.0f} us, gloo {statistics.median(theirs):.0f} us median "
          f"({statistics.median(theirs) / statistics.median(ours):.1f} x), gloo's best {min(theirs):.0f} us "
          f"({min(theirs) / statistics.median(ours):.1f} x ours)")


def measure(rank, size, port):
    dist.init_process_group("gloo", rank=rank, world_size=size, init_method=f"tcp://127.0.0.1:{port}")
    groups = {"gloo": dist.group.WORLD, "tandem": dist.new_group(list(range(size)), backend="tandem")}
    groups["gloo"] = dist.distributed_c10d._get_default_group()
    for nbytes in SIZES:
        x, times = torch.zeros(nbytes // 4), {"gloo": [], "tandem": []}
        rounds = max(5, (4 << 20) // nbytes)
        for _ in range(6):
            for name, group in groups.items():
                times[name] += round_of(group, x, rounds)
        if rank == 0:
            report(f"all_reduce {nbytes >> 10} KiB", times)
    counts, times = [1 << 20, 3 << 20], {"gloo": [], "tandem": []}
    x = torch.zeros(4 << 20)
    for _ in range(5):
        for name, group in groups.items():
            times[name] += scattered(group, name, x, counts, 3)
    if rank == 0:
        report("uneven reduce_scatter 16 MiB", times)
        overhead(groups["tandem"])
    dist.barrier(groups["gloo"])


def overhead(group):
    """Of Python on one operator of one device."""
    x, gamma, y = torch.zeros(1, 64), torch.ones(64), torch.empty(1, 64)
    times = []
    for _ in range(2000):
        begun = time.perf_counter()
        tandem.rms_norm(x, gamma, y=y)
        times.append((time.perf_counter() - begun) * 1e6)
    print(f"rms_norm of one row: {statistics.median(times):.1f} us, best {min(times):.1f} us")


if __name__ == "__main__":
    spawn(measure, 2)
    sys.exit(0)
