# SPDX-License-Identifier: Apache-2.0
"""tandem's operators as torch operators: `import tandem.torch`, then torch.ops.tandem.rms_norm(x, gamma, 1e-6).

Each has a schema, a CPU implementation and a meta implementation (shapes without data), so torch.compile keeps it in
its graph. `group` is the name of a communicator: of init_process_group("tandem"), or one given to use().
"""
import torch as _torch

from . import npu_support as _support
from ._operators import FUNCTIONS as _FUNCTIONS

_library = _torch.library.Library("tandem", "DEF")
_groups = {}
SCHEMAS = {}


def use(group):
    """Makes a tandem.Communicator known to the operators of this process; returns its name."""
    _groups[group.name] = group
    return group.name


def _group(name):
    return _groups[name] if name in _groups else _support.communicator_of(name)


def _plain(value):
    return value.detach() if _torch.is_tensor(value) else value


def _columns(x, weight):
    return x.new_empty((*x.shape[:-1], weight.shape[-1]))


def define(name, schema, call, meta):
    """An operator with its two implementations."""
    _library.define(f"{name}{schema}")
    _library.impl(name, call, "CPU")
    _library.impl(name, meta, "Meta")
    if _torch.__version__.startswith("1."):  # later ones fall through by themselves
        _library.impl(name, meta, "AutogradMeta")
    SCHEMAS[name] = schema


def _rms_norm(x, gamma, epsilon=1e-6):
    return _FUNCTIONS["rms_norm"](_plain(x), _plain(gamma), epsilon=epsilon)


def _add_rms_norm(x, residual, gamma, epsilon=1e-6):
    y, total = _FUNCTIONS["rms_norm"](_plain(x), _plain(gamma), residual=_plain(residual), sum=True, epsilon=epsilon)
    return y, total


def _dynamic_quant(x):
    return _FUNCTIONS["dynamic_quant"](_plain(x).contiguous())


def _quant_matmul(x1, x2, scale, token, bias, dtype):
    return _FUNCTIONS["quant_matmul"](_plain(x1), _plain(x2), scale=_plain(scale), token=_plain(token), bias=_plain(bias),
                                      y=_quant_matmul_meta(x1, x2, scale, token, bias, dtype))


def _quant_matmul_meta(x1, x2, scale, token, bias, dtype):
    return x1.new_empty((*x1.shape[:-1], x2.shape[-1]), dtype=dtype)


def _mm_all_reduce(x1, x2, group, bias=None, x3=None):
    return _FUNCTIONS["mm_all_reduce"](_plain(x1).contiguous(), x2=_plain(x2), bias=_plain(bias), x3=_plain(x3),
                                       group=_group(group))


def _tail(x1, x2, residual, gamma, group, epsilon=1e-6, bias=None):
    return _FUNCTIONS["mm_all_reduce"](_plain(x1).contiguous(), x2=_plain(x2), residual=_plain(residual),
                                       gamma=_plain(gamma), bias=_plain(bias), epsilon=epsilon, group=_group(group))


def _tail_in_place(x1, x2, residual, gamma, group, epsilon=1e-6, bias=None):
    given = _plain(residual)
    _, norm = _FUNCTIONS["mm_all_reduce"](_plain(x1).contiguous(), x2=_plain(x2), residual=given, y=given,
                                          gamma=_plain(gamma), bias=_plain(bias), epsilon=epsilon, group=_group(group))
    return norm


define("rms_norm", "(Tensor x, Tensor gamma, float epsilon=1e-06) -> Tensor", _rms_norm,
       lambda x, gamma, epsilon=1e-6: _torch.empty_like(x, memory_format=_torch.contiguous_format))
define("add_rms_norm", "(Tensor x, Tensor residual, Tensor gamma, float epsilon=1e-06) -> (Tensor, Tensor)", _add_rms_norm,
       lambda x, residual, gamma, epsilon=1e-6: (_torch.empty_like(x, memory_format=_torch.contiguous_format),
                                            _torch.empty_like(x, memory_format=_torch.contiguous_format)))
define("swiglu", "(Tensor x, int dim=-1) -> Tensor", lambda x, dim=-1: _FUNCTIONS["swiglu"](_plain(x), dim=dim),
       lambda x, dim=-1: x.new_empty([n // 2 if i == dim % x.dim() else n for i, n in enumerate(x.shape)]))
define("softmax", "(Tensor x, int dim=-1) -> Tensor", lambda x, dim=-1: _FUNCTIONS["softmax"](_plain(x), dim=dim),
       lambda x, dim=-1: _torch.empty_like(x, memory_format=_torch.contiguous_format))
define("dynamic_quant", "(Tensor x) -> (Tensor, Tensor)", _dynamic_quant,
       lambda x: (x.new_empty(x.shape, dtype=_torch.int8), x.new_empty(x.shape[:-1], dtype=_torch.float32)))
define("linear", "(Tensor x, Tensor weight, Tensor? bias=None) -> Tensor",
       lambda x, weight, bias=None: _FUNCTIONS["linear"](_plain(x), _plain(weight), bias=_plain(bias)),
       lambda x, weight, bias=None: x.new_empty((*x.shape[:-1], weight.shape[0])))
define("quant_matmul", "(Tensor x1, Tensor x2, Tensor scale, Tensor? token=None, Tensor? bias=None, *, ScalarType dtype)"
       " -> Tensor", lambda x1, x2, scale, token=None, bias=None, *, dtype: _quant_matmul(x1, x2, scale, token, bias, dtype),
       lambda x1, x2, scale, token=None, bias=None, *, dtype: _quant_matmul_meta(x1, x2, scale, token, bias, dtype))
define("mm_all_reduce", "(Tensor x1, Tensor x2, str group, Tensor? bias=None, Tensor? x3=None) -> Tensor", _mm_all_reduce,
       lambda x1, x2, group, bias=None, x3=None: _columns(x1, x2))
define("mm_all_reduce_add_rms_norm", "(Tensor x1, Tensor x2, Tensor residual, Tensor gamma, str group, "
       "float epsilon=1e-06, Tensor? bias=None) -> (Tensor, Tensor)", _tail,
       lambda x1, x2, residual, gamma, group, epsilon=1e-6, bias=None: (_columns(x1, x2), _columns(x1, x2)))
define("mm_all_reduce_add_rms_norm_", "(Tensor x1, Tensor x2, Tensor(a!) residual, Tensor gamma, str group, "
       "float epsilon=1e-06, Tensor? bias=None) -> Tensor", _tail_in_place,
       lambda x1, x2, residual, gamma, group, epsilon=1e-6, bias=None: _columns(x1, x2))
