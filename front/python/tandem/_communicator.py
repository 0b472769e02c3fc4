# SPDX-License-Identifier: Apache-2.0
"""A group of ranks and its collectives."""
import atexit
import os
import threading

from . import _tandem
from ._arrays import dtype_of, empty


class Communicator:
    """One rank of a group. Every rank calls the same operators in the same order.

    Ranks as threads:   ranks = tandem.Communicator.local(2)
    Ranks as processes: tandem.Communicator.connect(rank, size, "tp", address)
    Collectives return their result; `wait=False` returns the work, whose wait() returns the result.
    Errors: Mismatch, PeerLost, TimedOut name the rank at fault; after one of them the group is dead (shrink()).
    """

    def __init__(self, handle):
        self._handle = handle

    @classmethod
    def local(cls, size, devices=(), name="", window_bytes=0):
        """`size` ranks as threads of this process: a list of Communicators, one for each thread."""
        return [cls(one) for one in _tandem.Communicator.local(size, list(devices), name, window_bytes)]

    @classmethod
    def connect(cls, rank, size, name, address, *, device=0, timeout=0.0, call_timeout=-1.0, window_bytes=0):
        """Meets the other processes at `address`: any text they share, or tcp://host:port/secret between hosts.

        timeout: seconds to wait for the others (0: 120).   call_timeout: for a rank that has not called yet (below 0: 300).
        """
        return cls(_tandem.Communicator.connect(rank, size, name, address, device, timeout, call_timeout, window_bytes))

    rank = property(lambda self: self._handle.rank)
    size = property(lambda self: self._handle.size)
    name = property(lambda self: self._handle.name)
    device = property(lambda self: self._handle.device)

    def __repr__(self):
        return repr(self._handle)

    def _turn(self):
        """The handle for a call that other ranks may wait for: posted messages go first."""
        flush()
        return self._handle

    def split(self, ranks, id, name=""):
        """A group of some ranks, in that order; exactly these call it with the same list and id."""
        return Communicator(self._turn().split(list(ranks), id, name))

    def shrink(self, timeout=0.0):
        """After a failure: a group of the ranks (processes) that are left."""
        return Communicator(self._handle.shrink(timeout))

    def abort(self, reason="aborted"):
        """Ends every wait of this group on all ranks."""
        self._handle.abort(reason)

    def health(self):
        """Raises what ended the group, if something did."""
        self._handle.health()

    def close(self):
        """The rank takes no further part."""
        self._handle.close()

    def _run(self, kind, source, target, wait, **options):
        work = self._turn().start(kind, source, target, **options)
        if not wait:
            return Pending(work, target)
        work.wait()
        return target

    def _like(self, source, shape):
        return empty(shape, dtype_of(source), source)

    def all_reduce(self, x, out=None, op="sum", wait=True):
        """out = x of all ranks combined by op: sum, prod, max, min, avg. out may be x."""
        return self._run("all_reduce", x, self._like(x, x.shape) if out is None else out, wait, op=op)

    def reduce(self, x, root=0, out=None, op="sum", wait=True):
        """all_reduce() whose result only `root` gets; None elsewhere."""
        if out is None and self.rank == root:
            out = self._like(x, x.shape)
        return self._run("reduce", x, out, wait, op=op, root=root)

    def reduce_scatter(self, x, out=None, op="sum", counts=None, displacements=None, wait=True):
        """This rank's part of the combined x: its share of the first dimension, or counts[rank] elements."""
        if counts is not None:
            places = _places(counts) if displacements is None else list(displacements)
            out = self._like(x, (counts[self.rank],)) if out is None else out
            return self._run("reduce_scatter_v", x, out, wait, op=op, counts=list(counts), displacements=places)
        out = self._like(x, (x.shape[0] // self.size, *x.shape[1:])) if out is None else out
        return self._run("reduce_scatter", x, out, wait, op=op)

    def all_gather(self, x, out=None, counts=None, displacements=None, wait=True):
        """x of all ranks along the first dimension, or counts[r] elements of each rank r."""
        if counts is not None:
            places = _places(counts) if displacements is None else list(displacements)
            out = self._like(x, (max(map(sum, zip(counts, places))),)) if out is None else out
            return self._run("all_gather_v", x, out, wait, counts=list(counts), displacements=places)
        out = self._like(x, (x.shape[0] * self.size, *x.shape[1:])) if out is None else out
        return self._run("all_gather", x, out, wait)

    def broadcast(self, x, root=0, wait=True):
        """x of `root` on every rank, in place."""
        return self._run("broadcast", None, x, wait, root=root)

    def scatter(self, x, out, root=0, wait=True):
        """out = this rank's part of x of `root` (x: None elsewhere)."""
        return self._run("scatter", x, out, wait, root=root)

    def gather(self, x, root=0, out=None, wait=True):
        """x of all ranks along the first dimension on `root`; None elsewhere."""
        if out is None and self.rank == root:
            out = self._like(x, (x.shape[0] * self.size, *x.shape[1:]))
        return self._run("gather", x, out, wait, root=root)

    def all_to_all(self, x, out=None, counts=None, receives=None, wait=True):
        """Part p of x goes to rank p: even parts, or counts[p] elements out and receives[p] in."""
        if counts is None:
            return self._run("all_to_all", x, self._like(x, x.shape) if out is None else out, wait)
        out = self._like(x, (sum(receives),)) if out is None else out
        return self._run("all_to_all_v", x, out, wait, counts=list(counts), displacements=_places(counts),
                         receives=list(receives), receive_offsets=_places(receives))

    def send(self, x, to, wait=True):
        """A message; ends when the receiver has it."""
        return self._run("send", x, None, wait, root=to)

    def recv(self, x, source, wait=True):
        """A message of rank `source` into x."""
        return self._run("recv", None, x, wait, root=source)

    def barrier(self):
        """Every rank has come here."""
        self._turn().start("barrier").wait()

    def _post(self, sends, x, peer):
        """A message that goes together with those posted beside it, so that two ranks may both send first."""
        with _lock:
            batch = next((one for one in _posted if one.handle is self._handle), None)
            if batch is None:
                batch = _Batch(self._handle)
                _posted.append(batch)
            batch.messages.append((sends, x, peer))
            return _Message(batch)


class _Batch:
    """Messages that are handed over together, at the latest when someone waits."""

    def __init__(self, handle):
        self.handle, self.messages, self.work, self.fault = handle, [], None, None

    def start(self):
        with _lock:
            if self not in _posted:
                return
            _posted.remove(self)
            try:
                self.work = Pending(self.handle.exchange(self.messages), None)
            except Exception as fault:  # of this batch, whoever started it
                self.fault = fault
            self.messages = []


class _Message:
    """Pending, of one message of a batch."""

    def __init__(self, batch):
        self._batch = batch

    def __del__(self):
        self._batch.start()

    def done(self):
        self._batch.start()
        return self._batch.work is None or self._batch.work.done()

    def wait(self, timeout=-1.0):
        self._batch.start()
        if self._batch.fault is not None:
            raise self._batch.fault
        return self._batch.work.wait(timeout)


_lock, _posted = threading.RLock(), []  # batches that have not been handed over


def flush():
    """Hands over the messages posted in this process."""
    if _posted:
        with _lock:
            for batch in list(_posted):
                batch.start()


def _forget():
    """A forked child has no part in what its parent posted."""
    global _lock
    _lock = threading.RLock()
    _posted.clear()


os.register_at_fork(after_in_child=_forget)
atexit.register(flush)


class Pending:
    """A collective under way."""

    def __init__(self, work, result):
        self._work, self._result = work, result

    def done(self):
        """Whether it has ended, well or not."""
        return self._work.done()

    def wait(self, timeout=-1.0):
        """The result, or the error; TimeoutError when `timeout` seconds (0 or more) passed first."""
        if not self._work.wait(timeout):
            raise TimeoutError(f"not done after {timeout} s")
        return self._result


def _places(counts):
    places = [0]
    for count in counts[:-1]:
        places.append(places[-1] + count)
    return places
