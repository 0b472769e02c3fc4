# SPDX-License-Identifier: Apache-2.0
"""torch.distributed on tandem: every collective, DistributedDataParallel beside gloo, torch tensors in and out."""
import os
import time
import unittest
from unittest import mock

from torch_parts import spawn

import torch
import torch.distributed as dist

import tandem
import tandem.c10d  # noqa: F401  registers the backend


def start(rank, size, port, backend="tandem"):
    dist.init_process_group(backend, rank=rank, world_size=size, init_method=f"tcp://127.0.0.1:{port}")


def collectives(rank, size, port):
    start(rank, size, port)
    group = dist.distributed_c10d._get_default_group()
    mine = torch.arange(4.0) + 10 * rank
    total = sum(torch.arange(4.0) + 10 * other for other in range(size))
    x = mine.clone()
    dist.all_reduce(x)
    assert torch.equal(x, total)
    x = mine.clone()
    dist.all_reduce(x, op=dist.ReduceOp.MAX)
    assert torch.equal(x, torch.arange(4.0) + 10 * (size - 1))
    for dtype in (torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.uint8):
        x = torch.ones(5, dtype=dtype)
        dist.all_reduce(x)
        assert torch.equal(x, torch.full((5,), size, dtype=dtype)), dtype
    x = mine.clone()
    group.allreduce([x], _average()).wait()
    assert torch.equal(x, total / size)
    strided = torch.zeros(4, 2)
    strided[:, 0] = mine
    work = dist.all_reduce(strided[:, 0], async_op=True)
    work.wait()
    assert torch.equal(strided[:, 0], total) and work.is_completed()
    parts = [torch.empty(4) for _ in range(size)]
    dist.all_gather(parts, mine)
    assert all(torch.equal(one, torch.arange(4.0) + 10 * other) for other, one in enumerate(parts))
    uneven = [torch.empty(other + 1) for other in range(size)]
    group.allgather([uneven], [torch.full((rank + 1,), float(rank))]).wait()
    assert all(torch.equal(one, torch.full((other + 1,), float(other))) for other, one in enumerate(uneven))
    out = torch.empty(2)
    dist.reduce_scatter(out, list(torch.ones(2 * size).split(2)))
    assert torch.equal(out, torch.full((2,), float(size)))
    out = torch.empty(rank + 1)
    group.reduce_scatter_tensor_uneven(out, torch.ones(size * (size + 1) // 2), [other + 1 for other in range(size)]).wait()
    assert torch.equal(out, torch.full((rank + 1,), float(size)))
    group.reduce_scatter([out], [[torch.ones(other + 1) for other in range(size)]]).wait()
    assert torch.equal(out, torch.full((rank + 1,), float(size)))
    x = mine.clone()
    dist.broadcast(x, 1)
    assert torch.equal(x, torch.arange(4.0) + 10)
    out = torch.empty(size)
    dist.all_to_all_single(out, torch.arange(float(size)) + 10 * rank)
    assert torch.equal(out, torch.tensor([rank + 10.0 * other for other in range(size)]))
    out = torch.empty(size * (rank + 1))
    dist.all_to_all_single(out, torch.cat([torch.full((to + 1,), float(rank)) for to in range(size)]), [rank + 1] * size,
                           [to + 1 for to in range(size)])
    assert torch.equal(out, torch.arange(float(size)).repeat_interleave(rank + 1))
    outs = [torch.empty(1) for _ in range(size)]
    dist.all_to_all(outs, [torch.tensor([10.0 * rank + to]) for to in range(size)])
    assert torch.cat(outs).tolist() == [10.0 * other + rank for other in range(size)]
    out = torch.empty(1)
    dist.scatter(out, [torch.tensor([float(other)]) for other in range(size)] if rank == 0 else None, 0)
    assert out.item() == rank
    gathered = [torch.empty(1) for _ in range(size)] if rank == 0 else None
    dist.gather(out, gathered, 0)
    assert rank != 0 or torch.cat(gathered).tolist() == list(range(size))
    x = mine.clone()
    dist.reduce(x, 0)
    assert torch.equal(x, total if rank == 0 else mine)
    dist.send(mine, 1) if rank == 0 else dist.recv(x, 0) if rank == 1 else None
    assert rank != 1 or torch.equal(x, torch.arange(4.0))
    dist.barrier()
    half = dist.new_group([0, 1])
    if rank < 2:
        x = torch.ones(1)
        dist.all_reduce(x, group=half)
        assert x.item() == 2
    objects = [None] * size
    dist.all_gather_object(objects, {"rank": rank})
    assert [one["rank"] for one in objects] == list(range(size))
    dist.barrier()


def messages(rank, size, port):
    start(rank, size, port)
    other, mine, theirs = 1 - rank, torch.full((3,), float(rank)), torch.empty(3)
    for work in [dist.isend(mine, other), dist.irecv(theirs, other)]:
        work.wait()
    assert torch.equal(theirs, 1 - mine)
    column = torch.zeros(3, 2)
    for work in dist.batch_isend_irecv([dist.P2POp(dist.isend, mine, other), dist.P2POp(dist.irecv, column[:, 1], other)]):
        work.wait()
    assert torch.equal(column[:, 1], 1 - mine)
    work = dist.isend(mine + 2, 1) if rank == 0 else None  # goes before the next collective, whoever waits
    if rank == 1:
        dist.recv(theirs, 0)
        assert torch.equal(theirs, torch.full((3,), 2.0))
    dist.all_reduce(mine)
    assert work is None or work.wait()
    polled = dist.irecv(column[:, 0], 0) if rank == 1 else dist.isend(torch.ones(3), 1)
    while not polled.is_completed():
        time.sleep(0.001)
    assert rank == 0 or torch.equal(column[:, 0], torch.ones(3)), "completed work has its results"
    group = dist.distributed_c10d._get_default_group()
    pair = [torch.ones(3), torch.ones(3)]
    joined = group.allreduce(pair)
    while not joined.is_completed():
        time.sleep(0.001)
    assert all(torch.equal(one, torch.full((3,), 2.0)) for one in pair)
    dist.barrier()


def failed_twice(rank, size, port):
    start(rank, size, port)
    work = dist.all_reduce(torch.ones(3 + rank), async_op=True)
    for _ in range(2):
        try:
            work.wait()
        except tandem.Mismatch:
            continue
        raise AssertionError("no error")
    assert work.is_completed() and not work.is_success() and isinstance(work.exception(), tandem.Mismatch)


def _average():
    options = dist.AllreduceOptions()
    options.reduceOp = dist.ReduceOp.AVG
    return options


def train(rank, size, port, backend, losses):
    start(rank, size, port, backend)
    torch.manual_seed(5)
    model = torch.nn.parallel.DistributedDataParallel(torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(),
                                                                          torch.nn.Linear(16, 1)))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    torch.manual_seed(rank)
    for step in range(50):
        x = torch.randn(16, 8)
        loss = (model(x) - x.sum(1, keepdim=True)).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses[rank, step] = loss.detach()


def lost(rank, size, port):
    start(rank, size, port)
    if rank == 1:
        tandem.c10d.dist.distributed_c10d._get_default_group().comm.abort("tired")
        return
    try:
        dist.all_reduce(torch.ones(3))
    except tandem.Error as fault:
        assert fault.rank == 1, fault
        return
    raise AssertionError("no error")


class Backend(unittest.TestCase):
    def test_collectives(self):
        spawn(collectives, 3)

    def test_training_beside_gloo(self):
        losses = {}
        for backend in ("tandem", "gloo"):
            losses[backend] = torch.zeros(2, 50).share_memory_()
            spawn(train, 2, backend, losses[backend])
        self.assertGreater(losses["gloo"][:, 0].mean(), 2 * losses["gloo"][:, -1].mean())
        torch.testing.assert_close(losses["tandem"], losses["gloo"], rtol=1e-6, atol=1e-6)

    def test_messages(self):
        spawn(messages, 2)

    def test_failed_work_stays_failed(self):
        spawn(failed_twice, 2)

    def test_an_error_names_the_rank(self):
        spawn(lost, 2)


class Place(unittest.TestCase):
    def test_a_group_meets_at_its_own_first_rank(self):
        with mock.patch.dict(os.environ, {"MASTER_ADDR": "127.0.0.1"}):
            places = {tandem.c10d._own_place() for _ in range(3)}
        self.assertTrue(all(place.startswith("127.0.0.1:") for place in places))
        self.assertTrue(all(int(place.split(":")[1]) > 0 for place in places))
        with mock.patch.dict(os.environ, {"MASTER_ADDR": "::1", "TANDEM_C10D_PORT": "29777"}):
            self.assertEqual(tandem.c10d._own_place(), "[::1]:29777")


class Tensors(unittest.TestCase):
    def test_bf16_and_results_of_torch(self):
        x = torch.randn(3, 16).bfloat16()
        y = tandem.rms_norm(x, torch.ones(16).bfloat16())
        self.assertTrue(torch.is_tensor(y) and y.dtype == torch.bfloat16)
        in_place = torch.empty_like(x)
        tandem.rms_norm(x, torch.ones(16).bfloat16(), y=in_place)
        self.assertTrue(torch.equal(in_place, y))


if __name__ == "__main__":
    unittest.main()
