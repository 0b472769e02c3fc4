# SPDX-License-Identifier: Apache-2.0
"""Ranks as threads and as processes: operators, collectives, faults, interruption."""
import multiprocessing
import os
import signal
import threading
import time
import unittest

import numpy_parts  # noqa: F401  skips without numpy

import numpy as np

import tandem


def on_ranks(size, body):
    """body(communicator) on `size` threads: their results, or the first exception."""
    results, faults = [None] * size, []

    def run(rank, comm):
        try:
            results[rank] = body(comm)
        except BaseException as fault:  # handed to the test
            faults.append(fault)

    comms = tandem.Communicator.local(size)
    threads = [threading.Thread(target=run, args=(rank, comm)) for rank, comm in enumerate(comms)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]
    return results


class Products(unittest.TestCase):
    def setUp(self):
        random = np.random.default_rng(3)
        self.x = random.standard_normal((6, 512)).astype(np.float32)
        self.w = random.standard_normal((512, 48)).astype(np.float32)

    def part(self, comm):
        width = 512 // comm.size
        columns = slice(comm.rank * width, (comm.rank + 1) * width)
        return np.ascontiguousarray(self.x[:, columns]), self.w[columns]

    def test_mm_all_reduce(self):
        bits = {}
        for size in (1, 2, 4):
            results = on_ranks(size, lambda comm: tandem.mm_all_reduce(self.part(comm)[0], x2=self.part(comm)[1], group=comm))
            bits[size] = {one.tobytes() for one in results}
            np.testing.assert_allclose(results[0], self.x @ self.w, rtol=1e-4, atol=1e-3)
        self.assertEqual(len(set.union(*bits.values())), 1, "the same bits on every rank at every count")

    def test_the_tail(self):
        residual, gamma = np.ones((6, 48), np.float32), np.ones(48, np.float32)
        results = on_ranks(2, lambda comm: tandem.mm_all_reduce(self.part(comm)[0], x2=self.part(comm)[1], residual=residual,
                                                                gamma=gamma, group=comm))
        y, normed = results[0]
        np.testing.assert_allclose(y, self.x @ self.w + 1, rtol=1e-4, atol=1e-3)
        np.testing.assert_array_equal(normed, tandem.rms_norm(y, gamma))

    def test_split_rows(self):
        whole = on_ranks(2, lambda comm: tandem.mm_all_reduce(self.part(comm)[0], x2=self.part(comm)[1], group=comm))[0]
        parts = on_ranks(2, lambda comm: tandem.mm_reduce_scatter(self.part(comm)[0], x2=self.part(comm)[1], counts=[2, 4],
                                                                  group=comm))
        np.testing.assert_array_equal(np.concatenate(parts), whole)
        gathered = on_ranks(2, lambda comm: tandem.all_gather_mm(self.x[comm.rank * 3:][:3], self.w, gathered=True, group=comm))
        np.testing.assert_array_equal(gathered[0][1], self.x)
        np.testing.assert_array_equal(gathered[0][0], gathered[1][0])

    def test_moe(self):
        x = np.ones((3, 8), np.float32)
        first, second = [np.ones((8, 4), np.float32)] * 2, [np.ones((2, 8), np.float32)] * 2
        router = np.eye(8, 2, dtype=np.float32)
        one = on_ranks(2, lambda comm: tandem.moe_ffn(x, router, first=first, second=second, top_k=1, group=comm))
        self.assertEqual((one[0].shape, one[0].tobytes()), ((3, 8), one[1].tobytes()))


class Collectives(unittest.TestCase):
    def test_all(self):
        def body(comm):
            x = np.arange(4, dtype=np.float32) + comm.rank
            made = [comm.all_reduce(x), comm.all_reduce(x, op="avg"), comm.reduce_scatter(x), comm.all_gather(x),
                    comm.reduce_scatter(x, counts=[1, 3]), comm.all_gather(x[:1 + comm.rank], counts=[1, 2]),
                    comm.broadcast(x.copy(), root=1), comm.all_to_all(x), comm.gather(x, root=0)]
            if comm.rank == 0:
                comm.send(x, 1)
            else:
                comm.recv(x, 0)
            comm.barrier()
            return [*made, x, comm.all_reduce(np.ones(3, np.int64), wait=False).wait(60)]

        zero, one = on_ranks(2, body)
        wanted = [[1, 3, 5, 7], [0.5, 1.5, 2.5, 3.5], [1, 3], [0, 1, 2, 3, 1, 2, 3, 4], [1], [0, 1, 2], [1, 2, 3, 4],
                  [0, 1, 1, 2], [0, 1, 2, 3, 1, 2, 3, 4], [0, 1, 2, 3], [2, 2, 2]]
        for got, want in zip(zero, wanted):
            np.testing.assert_array_equal(got, want)
        np.testing.assert_array_equal(one[4], [3, 5, 7])
        np.testing.assert_array_equal(one[9], [0, 1, 2, 3])
        self.assertIsNone(one[8])

    def test_wrong_sizes_are_refused_before_anything_moves(self):
        def body(comm):
            with self.assertRaisesRegex(tandem.InvalidArgument, "output"):
                comm.all_reduce(np.ones(4, np.float32), out=np.ones(3, np.float32))
            with self.assertRaises(tandem.InvalidArgument):
                comm.reduce_scatter(np.ones(4, np.float32), counts=[2, 9])
            with self.assertRaises(tandem.InvalidArgument):
                comm.broadcast(np.ones(4, np.float32), root=5)
            return comm.all_reduce(np.ones(4, np.float32))[0]

        self.assertEqual(on_ranks(2, body), [2, 2])

    def test_operands_that_belong_to_absent_ones_are_refused(self):
        x, row = np.ones((2, 4), np.float32), np.ones(4, np.float32)
        residual = {"residual": x, "gamma": row}

        def body(comm):
            for name, given in (("quant_scale", {"quant_scale": row, **residual}), ("token", {"token": row[:2]}),
                                ("expert", {"expert": np.zeros((2, 1), np.int32)}), ("weight", {"weight": x[:, :1]}),
                                ("group_size", {"group_size": 2}), ("channel", {"channel": row, "scale": row})):
                with self.assertRaisesRegex(tandem.InvalidArgument, f"mm_all_reduce: {name} is given"):
                    tandem.mm_all_reduce(x, x2=np.eye(4, dtype=np.float32), group=comm, **given)

        on_ranks(1, body)

    def test_a_view_that_nobody_keeps(self):
        def body(comm):
            works = []
            for value in range(8):
                memory = bytearray(np.full(1 << 16, value, np.float32).tobytes())
                works.append(comm.all_reduce(tandem.view(memory, "f32", [1 << 16]), wait=False,
                                             out=np.empty(1 << 16, np.float32)))
                try:
                    memory.clear()
                except BufferError:  # still read
                    del memory
            return [float(work.wait(60).max()) for work in works]

        self.assertEqual(on_ranks(2, body), [[2.0 * value for value in range(8)]] * 2)

    def test_messages_without_waiting(self):
        def body(comm):
            x = np.full(4, comm.rank, np.float32)
            work = comm.send(x, 1, wait=False) if comm.rank == 0 else comm.recv(x, 0, wait=False)
            work.wait(60)
            return x[0]

        self.assertEqual(on_ranks(2, body), [0, 0])

    def test_every_wait_of_failed_work_fails(self):
        def body(comm):
            work = comm.all_reduce(np.ones(4 + comm.rank, np.float32), wait=False)
            for _ in range(3):
                with self.assertRaises(tandem.Mismatch):
                    work.wait(60)

        on_ranks(2, body)

    def test_different_calls_are_a_mismatch_that_names_a_rank(self):
        def body(comm):
            with self.assertRaises(tandem.Mismatch) as caught:
                comm.all_reduce(np.ones(4 + comm.rank, np.float32))
            return caught.exception.rank

        self.assertTrue(set(on_ranks(2, body)) <= {0, 1})


def die_in_a_collective(rank, address, results):
    comm = tandem.Communicator.connect(rank, 2, "dying", address)
    comm.barrier()
    if rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    try:
        comm.all_reduce(np.ones(4, np.float32))
    except tandem.PeerLost as lost:
        results.put(lost.rank)


def interrupt_a_wait(rank, address, results):
    comm = tandem.Communicator.connect(rank, 2, "interrupted", address)
    comm.barrier()
    if rank == 1:  # never calls; learns that rank 0 is gone
        time.sleep(0.3)
        os.kill(os.getppid(), 0)
        try:
            while True:
                comm.health()
                time.sleep(0.01)
        except tandem.Error as fault:
            results.put(("health", fault.rank))
        return
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        comm.all_reduce(np.ones(4, np.float32))
    except KeyboardInterrupt:
        results.put(("interrupted", rank))


def interrupt_a_meeting(rank, address, results):
    if rank == 1:  # never comes
        return
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    started = time.monotonic()
    try:
        tandem.Communicator.connect(rank, 2, "nobody", address, timeout=50)
    except KeyboardInterrupt:
        results.put(("interrupted", time.monotonic() - started < 40))


def processes(target):
    context = multiprocessing.get_context("fork")
    results, address = context.Queue(), f"python test {os.getpid()} {target.__name__}"
    ranks = [context.Process(target=target, args=(rank, address, results)) for rank in range(2)]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join(60)
    alive = [rank for rank in ranks if rank.is_alive()]
    for rank in alive:
        rank.kill()
    answers = []
    while not results.empty():
        answers.append(results.get())
    return alive, answers


class Processes(unittest.TestCase):
    def test_death_is_an_error_that_names_the_rank(self):
        self.assertEqual(processes(die_in_a_collective), ([], [1]))

    def test_an_interrupt_ends_a_meeting(self):
        self.assertEqual(processes(interrupt_a_meeting), ([], [("interrupted", True)]))

    def test_an_interrupt_ends_a_wait_and_the_group(self):
        alive, answers = processes(interrupt_a_wait)
        self.assertEqual((alive, sorted(answers)), ([], [("health", 0), ("interrupted", 0)]))


if __name__ == "__main__":
    unittest.main()
