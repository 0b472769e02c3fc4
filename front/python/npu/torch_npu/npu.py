# SPDX-License-Identifier: Apache-2.0
"""torch.npu: devices, streams and events. Operators have ended when they return, so waiting is immediate."""
import contextlib
import time
import types

import torch

import tandem
from tandem import c10d

_current = 0


def set_device(device):
    """The device of this process from now on: an index, "npu:1" or a torch.device."""
    global _current
    index = getattr(device, "index", device)
    if isinstance(index, str):
        index = int(index.split(":")[1]) if ":" in index else 0
    index = 0 if index is None else int(index)
    if not 0 <= index < device_count():
        raise RuntimeError(f"set_device: device {index}, one of 0..{device_count() - 1} wanted")
    _current = index
    c10d.DEVICE = index


def current_device():
    return _current


def device_count():
    return tandem.device_count()


def is_available():
    return True


def is_initialized():
    return True


def init():
    pass


def synchronize(device=None):
    pass


def empty_cache():
    pass


def manual_seed(seed):
    torch.manual_seed(seed)


manual_seed_all = manual_seed


def get_device_name(device=None):
    return "Ascend910B1"


def get_soc_version():
    return 220


def get_device_properties(device=None):
    return types.SimpleNamespace(name=get_device_name(), total_memory=mem_get_info()[1])


def get_device_capability(device=None):
    return None


def mem_get_info(device=None):
    """(free, total) bytes of this host."""
    sizes = {}
    with open("/proc/meminfo") as file:
        for line in file:
            name, value = line.split(":")
            sizes[name] = int(value.split()[0]) * 1024
    return sizes["MemAvailable"], sizes["MemTotal"]


def memory_allocated(device=None):
    return 0


max_memory_allocated = memory_reserved = max_memory_reserved = memory_allocated


def reset_peak_memory_stats(device=None):
    pass


def set_compile_mode(jit_compile=False):
    pass


def set_option(options):
    pass


class Stream:
    """A stream whose work has ended."""

    def __init__(self, device=None, priority=0):
        self.device = device

    def synchronize(self):
        pass

    def wait_stream(self, stream):
        pass

    def wait_event(self, event):
        pass

    def record_event(self, event=None):
        event = event or Event()
        event.record(self)
        return event

    def query(self):
        return True


class Event:
    """A moment of the host's clock."""

    def __init__(self, enable_timing=False, blocking=False, interprocess=False):
        self._at = None

    def record(self, stream=None):
        self._at = time.monotonic()

    def wait(self, stream=None):
        pass

    def synchronize(self):
        pass

    def query(self):
        return True

    def elapsed_time(self, other):
        return (other._at - self._at) * 1e3


_stream = Stream()


def current_stream(device=None):
    return _stream


default_stream = current_stream


def set_stream(stream):
    pass


@contextlib.contextmanager
def stream(one):
    yield one


@contextlib.contextmanager
def device(one):
    before = _current
    set_device(one)
    try:
        yield
    finally:
        set_device(before)
