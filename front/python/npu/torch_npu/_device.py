# SPDX-License-Identifier: Apache-2.0
"""The device "npu" of torch: its memory is this host's, so every tensor already is there."""
import sys
import types

import torch

_Device = torch.device
_FACTORIES = ("tensor as_tensor empty zeros ones full rand randn randint arange linspace eye empty_like zeros_like "
              "ones_like full_like rand_like randn_like empty_strided randperm").split()


class NpuDevice:
    """torch.device("npu") and "npu:3"."""

    type = "npu"

    def __init__(self, text="npu", index=None):
        self.index = int(text.split(":")[1]) if ":" in text else index

    def __repr__(self):
        return f"device(type='npu'{'' if self.index is None else f', index={self.index}'})"

    def __str__(self):
        return "npu" if self.index is None else f"npu:{self.index}"

    def __eq__(self, other):
        return str(self) == str(other)

    def __hash__(self):
        return hash(str(self))


class _Meta(type):
    def __instancecheck__(cls, one):
        return isinstance(one, (_Device, NpuDevice))

    def __subclasscheck__(cls, one):
        return issubclass(one, (_Device, NpuDevice))


class device(metaclass=_Meta):
    """torch.device that knows "npu" too."""

    def __new__(cls, *arguments, **named):
        first = arguments[0] if arguments else named.get("type")
        if isinstance(first, NpuDevice):
            return first
        if isinstance(first, str) and first.split(":")[0] == "npu":
            return NpuDevice(first, arguments[1] if len(arguments) > 1 else named.get("index"))
        return _Device(*arguments, **named)


def is_npu(one):
    """Whether it names the device."""
    return isinstance(one, NpuDevice) or (isinstance(one, str) and one.split(":")[0] == "npu")


def _factory(function):
    def made(*arguments, **named):
        if is_npu(named.get("device")):
            named["device"] = "cpu"
        return function(*arguments, **named)

    made.__name__, made.__doc__ = function.__name__, function.__doc__
    return made


def _mover(function):
    """Tensor.to and Module.to: nothing moves, dtypes change."""

    def to(self, *arguments, **named):
        arguments = tuple("cpu" if is_npu(one) else one for one in arguments)
        if is_npu(named.get("device")):
            named["device"] = "cpu"
        return function(self, *arguments, **named)

    to.__doc__ = function.__doc__
    return to


def _npu(self, device=None, non_blocking=False, **_):
    """The tensor on the device: itself."""
    return self


def namespace():
    """torch.ops.npu: the operators as attributes."""
    return torch.ops.npu


def patch():
    """Teaches torch the device, once."""
    if torch.device is device:
        return
    torch.device = device
    for name in _FACTORIES:
        setattr(torch, name, _factory(getattr(torch, name)))
    torch.Tensor.to = _mover(torch.Tensor.to)
    torch.nn.Module.to = _mover(torch.nn.Module.to)
    torch.Tensor.npu = _npu
    torch.nn.Module.npu = _npu
    torch.Tensor.is_npu = property(lambda self: True)
    if not isinstance(getattr(torch.ops, "npu", None), types.SimpleNamespace):
        torch.ops.npu = types.SimpleNamespace()
    sys.modules["torch.npu"] = sys.modules["torch_npu.npu"]
