# SPDX-License-Identifier: Apache-2.0
"""What the tests of torch share. Importing it ends a program with 77 (skipped) where torch is missing."""
import socket
import sys

import numpy_parts  # noqa: F401  tandem needs it too

try:
    import torch
    import torch.multiprocessing as mp
except ImportError:
    print("skipped: no torch for this Python (Debian: python3-torch)")
    sys.exit(77)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def spawn(body, size, *arguments):
    """body(rank, size, port, *arguments) in `size` processes; the first failure is raised here."""
    mp.spawn(body, args=(size, str(free_port()), *arguments), nprocs=size)


def product_bound(x, w):
    """Of a rank's product with f32 sums, element by element: (value, bound) in f64."""
    x, w = x.double(), w.double()
    return x @ w, (x.shape[-1] + 8) * 2.0**-24 * (x.abs() @ w.abs())


def assert_within(y, value, bound):
    """y, rounded once to its dtype, is `value` within `bound`."""
    half_unit = {torch.float16: 2.0**-11, torch.bfloat16: 2.0**-8, torch.float32: 2.0**-24}[y.dtype]
    wrong = (y.double() - value).abs() - bound - half_unit * (value.abs() + bound) - 2.0**-25
    assert wrong.max() <= 0, f"{(wrong > 0).sum()} of {y.numel()} elements are off, by {wrong.max()} at most"
