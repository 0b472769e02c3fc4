# SPDX-License-Identifier: Apache-2.0
"""A tensor-parallel MLP on two ranks, one thread each: every rank has half the columns of `up` and half the rows of
`down`; the sum over ranks, the residual and the norm are one operator. The result has the bits of a single rank."""
import threading
from typing import Any

import numpy as np

import tandem

random = np.random.default_rng(0)
x, gamma = random.standard_normal((4, 256), np.float32), np.ones(256, np.float32)
up, down = (random.standard_normal(shape, np.float32) * 0.05 for shape in ((256, 1024), (1024, 256)))


def mlp(group: tandem.Communicator, results: dict[int, Any]) -> None:
    width = 1024 // group.size
    mine = slice(group.rank * width, (group.rank + 1) * width)
    inner = tandem.activation(tandem.matmul(x, up[:, mine]), op="silu")
    results[group.rank] = tandem.mm_all_reduce(inner, x2=down[mine], residual=x, gamma=gamma, group=group)


def on(ranks: int) -> Any:
    results: dict[int, Any] = {}
    threads = [threading.Thread(target=mlp, args=(group, results)) for group in tandem.Communicator.local(ranks)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results[0]


y, norm = on(2)
print("y", y.shape, "first values of the norm:", norm[0, :3])
print("the bits of one rank:", all(a.tobytes() == b.tobytes() for a, b in zip((y, norm), on(1))))
