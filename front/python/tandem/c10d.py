# SPDX-License-Identifier: Apache-2.0
"""torch.distributed on tandem: init_process_group("tandem") after `import tandem.c10d`.

All collectives with even and uneven parts, on CPU tensors. Errors are tandem's and name the rank at fault.
"""
import os
import socket
import sys
import threading
import uuid

import torch
import torch.distributed as dist
import torch._C._distributed_c10d as _c10d

from . import _arrays
from ._communicator import Communicator, flush
from ._errors import Error

_OPERATIONS = ("SUM", "AVG", "PRODUCT", "MIN", "MAX")
_NAMES = {"SUM": "sum", "AVG": "avg", "PRODUCT": "prod", "MIN": "min", "MAX": "max"}
GROUPS = {}  # communicators of this process by name
DEVICE = None  # logical device of this process; None: its rank


def _operation(options):
    """The name of a ReduceOp in any version of torch."""
    given = getattr(options, "reduceOp", None)
    if given is None:
        return "sum"
    for name in _OPERATIONS:
        if given == getattr(dist.ReduceOp, name):
            return _NAMES[name]
    raise ValueError(f"reduce op {given}: one of {', '.join(_OPERATIONS)} wanted")


def _plain(tensor):
    """The tensor's memory without its history."""
    return tensor.detach()


class TandemWork(_c10d.Work):
    """Collectives under way; what they left elsewhere is copied to its place when they are done."""

    def __init__(self, pending, results, finish=None):
        super().__init__()
        self._pending, self._results, self._finish, self._fault = pending, results, finish, None
        self._lock = threading.Lock()

    def is_completed(self):
        flush()
        if not all(one.done() for one in self._pending):
            return False
        try:
            self.wait()  # what is left to copy
        except Exception:
            pass  # exception() has it
        return True

    def is_success(self):
        return self.is_completed() and self._fault is None

    def exception(self):
        return self._fault

    def wait(self, timeout=None):
        flush()
        if self._fault is not None:
            raise self._fault
        seconds = -1.0 if not timeout else timeout.total_seconds()
        try:
            for one in self._pending:
                one.wait(seconds if seconds > 0 else -1.0)
            with self._lock:
                finish, self._finish, self._pending = self._finish, None, []
                if finish is not None:
                    finish()
        except Exception as fault:
            if isinstance(fault, Error) or not isinstance(fault, TimeoutError):  # the caller's time, not the work's
                self._fault = fault
            raise
        return True

    def synchronize(self):
        self.wait()

    def result(self):
        self.wait()
        return self._results

    def get_future(self):
        future = torch.futures.Future()
        try:
            self.wait()
            future.set_result(self._results)
        except Exception as fault:
            future.set_exception(fault)
        return future


def _for_native(work):
    """`work` for who called: torch's C++ (DistributedDataParallel) cannot wait for a Work of Python in every version of
    torch, so it gets one that is over. Python callers get the Work itself."""
    try:
        caller = sys._getframe(2).f_globals.get("__name__", "")
    except ValueError:
        caller = "torch"
    if not caller.startswith("torch.") or caller == "torch.distributed.distributed_c10d":
        return work
    return _c10d._create_work_from_future(work.get_future())


def _address(store, rank, size):
    """Text that all ranks share: of one host's socket, or of a TCP port where they are on several hosts."""
    with open("/proc/sys/kernel/random/boot_id") as file:
        host = file.read().strip()
    store.set(f"tandem_host_{rank}", host)
    hosts = {store.get(f"tandem_host_{other}").decode() for other in range(size)}
    if rank == 0:
        secret = uuid.uuid4().hex
        store.set("tandem_address", secret if len(hosts) == 1 else f"tcp://{_own_place()}/{secret}")
    return store.get("tandem_address").decode()


def _own_place():
    """host:port of this host as the others see it; TANDEM_C10D_PORT where only that port is open between the hosts."""
    master = os.environ.get("MASTER_ADDR", "127.0.0.1")
    own = "127.0.0.1"
    try:
        family, _, _, _, target = socket.getaddrinfo(master, 9, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(target)  # sends nothing: the route's own end
            own = probe.getsockname()[0]
    except OSError:
        pass
    if own.startswith("127.") or own == "::1":  # the master's host: the others know it by that name
        own = master
    port = os.environ.get("TANDEM_C10D_PORT")
    if port is None:
        with socket.socket() as free:
            free.bind(("", 0))
            port = free.getsockname()[1]
    return f"[{own}]:{port}" if ":" in own else f"{own}:{port}"


class ProcessGroupTandem(dist.ProcessGroup):
    """A c10d process group whose collectives are tandem's."""

    backend = "tandem"

    def __init__(self, store, rank, size, timeout):
        super().__init__(rank, size)
        address = _address(store, rank, size)
        device = DEVICE if DEVICE is not None else rank
        self.comm = Communicator.connect(rank, size, f"{self.backend}_{address[-32:]}", address,
                                         device=device % _arrays._tandem.device_count(),
                                         timeout=timeout.total_seconds(), call_timeout=timeout.total_seconds())
        GROUPS[self.comm.name] = self.comm
        self._timeout = timeout

    def getBackendName(self):
        return self.backend

    def _get_backend_name(self):
        return self.backend

    def name(self):
        return self.backend

    def _get_backend(self, device):
        return self

    def _set_sequence_number_for_group(self):
        pass

    def _get_sequence_number_for_group(self):
        return 0

    # --- one tensor to one tensor

    def _start(self, kind, source, target, results, finish=None, **options):
        """One collective on dense copies where tensors have gaps."""
        given = None if source is None else _plain(source).contiguous()
        made = None
        if target is not None:
            plain = _plain(target)
            made = plain if plain.is_contiguous() else plain.contiguous()
            if made is not plain:
                then = finish

                def finish():
                    plain.copy_(made)
                    if then is not None:
                        then()
        work = self.comm._run(kind, given, made, False, **options)
        return TandemWork([work], results, finish)

    def allreduce(self, tensors, opts=None):
        operation = _operation(opts)
        works = [self._start("all_reduce", one, one, tensors, op=operation) for one in tensors]
        return _for_native(_joined(works, tensors))

    def allreduce_coalesced(self, tensors, opts=None):
        return self.allreduce(tensors, opts)

    def broadcast(self, tensors, opts=None):
        root = getattr(opts, "rootRank", 0)
        return _for_native(_joined([self._start("broadcast", None, one, tensors, root=root) for one in tensors], tensors))

    def reduce(self, tensors, opts=None):
        root, operation = getattr(opts, "rootRank", 0), _operation(opts)
        works = [self._start("reduce", one, one if self.rank() == root else None, tensors, op=operation, root=root)
                 for one in tensors]
        return _joined(works, tensors)

    def barrier(self, opts=None):
        return _for_native(TandemWork([self.comm._run("barrier", None, None, False)], []))

    def monitored_barrier(self, timeout=None, wait_all_ranks=False):
        self.barrier().wait()

    # --- whole tensors of all ranks

    def _allgather_base(self, output, source, opts=None):
        return self._start("all_gather", source, output, [output])

    def allgather(self, outputs, inputs, opts=None):
        return _for_native(_joined([self._gather_list(parts, one, outputs) for parts, one in zip(outputs, inputs)], outputs))

    def _gather_list(self, parts, source, results):
        counts = [one.numel() for one in parts]
        flat = torch.empty(sum(counts), dtype=source.dtype)
        uneven = len(set(counts)) > 1
        options = {"counts": counts, "displacements": _starts(counts)} if uneven else {}
        return self._start("all_gather_v" if uneven else "all_gather", _plain(source).reshape(-1), flat, results,
                           lambda: _spread(flat, parts), **options)

    def allgather_coalesced(self, outputs, inputs, opts=None):
        return _joined([self._gather_list(list(parts), one, outputs) for parts, one in zip(zip(*outputs), inputs)], outputs)

    def allgather_into_tensor_coalesced(self, outputs, inputs, opts=None):
        return _joined([self._allgather_base(out, one) for out, one in zip(outputs, inputs)], outputs)

    def all_gather_into_tensor_uneven(self, output, source, counts, opts=None):
        """Rank r gives counts[r] elements."""
        return self._start("all_gather_v", source, output, [output], counts=list(counts), displacements=_starts(counts))

    def gather(self, outputs, inputs, opts=None):
        root = getattr(opts, "rootRank", 0)
        flat, finish = None, None
        if self.rank() == root:
            flat = torch.empty(sum(one.numel() for one in outputs[0]), dtype=inputs[0].dtype)
            finish = lambda: _spread(flat, outputs[0])
        return self._start("gather", inputs[0], flat, outputs, finish, root=root)

    def scatter(self, outputs, inputs, opts=None):
        root = getattr(opts, "rootRank", 0)
        flat = _flat(inputs[0]) if self.rank() == root else None
        return self._start("scatter", flat, outputs[0], outputs, root=root)

    # --- parts of a combination

    def _reduce_scatter_base(self, output, source, opts=None):
        return self._start("reduce_scatter", source, output, [output], op=_operation(opts))

    def reduce_scatter(self, outputs, inputs, opts=None):
        works = []
        for output, parts in zip(outputs, inputs):
            counts = [one.numel() for one in parts]
            uneven = len(set(counts)) > 1
            options = {"counts": counts, "displacements": _starts(counts)} if uneven else {}
            works.append(self._start("reduce_scatter_v" if uneven else "reduce_scatter", _flat(parts), output, outputs,
                                     op=_operation(opts), **options))
        return _joined(works, outputs)

    def reduce_scatter_tensor_coalesced(self, outputs, inputs, opts=None):
        return _joined([self._reduce_scatter_base(out, one, opts) for out, one in zip(outputs, inputs)], outputs)

    def reduce_scatter_tensor_uneven(self, output, source, counts, opts=None):
        """Rank r gets counts[r] elements of the sum, without padding."""
        return self._start("reduce_scatter_v", source, output, [output], op=_operation(opts), counts=list(counts),
                           displacements=_starts(counts))

    # --- the same by the names of later releases of torch

    def all_gather_single(self, output, source, opts=None):
        return self._allgather_base(output, source, opts)

    def all_gather_single_coalesced(self, outputs, inputs, opts=None):
        return self.allgather_into_tensor_coalesced(outputs, inputs, opts)

    def reduce_scatter_single(self, output, source, opts=None):
        return self._reduce_scatter_base(output, source, opts)

    def reduce_scatter_single_coalesced(self, outputs, inputs, opts=None):
        return self.reduce_scatter_tensor_coalesced(outputs, inputs, opts)

    def all_to_all_single(self, output, source, output_splits, input_splits, opts=None):
        return self.alltoall_base(output, source, output_splits, input_splits, opts)

    def gather_single(self, output, source, opts=None):
        root = getattr(opts, "rootRank", 0)
        return self._start("gather", source, output if self.rank() == root else None, [output], root=root)

    def set_timeout(self, timeout):
        self._timeout = timeout

    # --- everyone to everyone, and messages

    def alltoall_base(self, output, source, output_splits, input_splits, opts=None):
        if not output_splits and not input_splits:
            return self._start("all_to_all", source, output, [output])
        wide_in = source.numel() // max(source.shape[0], 1) if source.dim() else 1
        wide_out = output.numel() // max(output.shape[0], 1) if output.dim() else 1
        size = self.size()
        sends = [n * wide_in for n in input_splits or [source.shape[0] // size] * size]
        takes = [n * wide_out for n in output_splits or [output.shape[0] // size] * size]
        return self._start("all_to_all_v", source, output, [output], counts=sends, displacements=_starts(sends),
                           receives=takes, receive_offsets=_starts(takes))

    def alltoall(self, outputs, inputs, opts=None):
        sends, takes = [one.numel() for one in inputs], [one.numel() for one in outputs]
        flat = torch.empty(sum(takes), dtype=outputs[0].dtype)
        return self._start("all_to_all_v", _flat(inputs), flat, outputs, lambda: _spread(flat, outputs), counts=sends,
                           displacements=_starts(sends), receives=takes, receive_offsets=_starts(takes))

    def send(self, tensors, to, tag=0):
        works = [TandemWork([self.comm._post(True, _plain(one).contiguous(), to)], tensors) for one in tensors]
        return _joined(works, tensors)

    def recv(self, tensors, source, tag=0):
        return _joined([self._receive(_plain(one), tensors, source) for one in tensors], tensors)

    def _receive(self, target, results, source):
        dense = target if target.is_contiguous() else target.contiguous()
        finish = None if dense is target else lambda: target.copy_(dense)
        return TandemWork([self.comm._post(False, dense, source)], results, finish)

    supports_coalescing = False  # messages go together anyway

    def _start_coalescing(self, *_):
        pass

    def _end_coalescing(self, *_):
        flush()


def _joined(works, results):
    if len(works) == 1:
        return works[0]

    def finish():
        for work in works:
            work.wait()

    return TandemWork([one for work in works for one in work._pending], results, finish)


def _starts(counts):
    starts = [0]
    for count in list(counts)[:-1]:
        starts.append(starts[-1] + count)
    return starts


def _flat(parts):
    return torch.cat([_plain(one).reshape(-1) for one in parts])


def _spread(flat, parts):
    for part, piece in zip(parts, flat.split([one.numel() for one in parts])):
        _plain(part).copy_(piece.view(part.shape))


def register(name, group=ProcessGroupTandem):
    """Makes init_process_group(name) give `group`."""
    if hasattr(dist.Backend, name.upper()) and name.upper() != "UNDEFINED":
        return
    try:
        dist.Backend.register_backend(name, group, devices=["cpu"])
    except TypeError:  # before torch 2.0
        dist.Backend.register_backend(name, group)


register("tandem")
