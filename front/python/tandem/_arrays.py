# SPDX-License-Identifier: Apache-2.0
"""Arrays of numpy, torch and others: their dtypes and shapes, and new ones of the same kind."""
import sys

import numpy as np

from . import _tandem

DTYPES = ("f32", "f16", "bf16", "f64", "i4", "i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64")
_NUMPY = {"f32": "float32", "f16": "float16", "f64": "float64", "i8": "int8", "u8": "uint8", "i16": "int16",
          "u16": "uint16", "i32": "int32", "u32": "uint32", "i64": "int64", "u64": "uint64"}
_TORCH = {**_NUMPY, "bf16": "bfloat16"}
_NAMES = {long: short for short, long in _TORCH.items()}
_NAMES["bool"] = "u8"


def is_torch(array):
    """Whether it is a torch tensor, without importing torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(array, torch.Tensor)


def dtype_of(array):
    """The name of an array's dtype, one of DTYPES."""
    if isinstance(array, _tandem.View):
        return array.dtype
    name = str(getattr(array, "dtype", "")).replace("torch.", "")
    return _NAMES.get(name) or _tandem.dtype_of(array)


def empty(shape, dtype, like):
    """A new array of the same kind as `like`: torch for torch, else numpy; bf16 and i4 of numpy are Views."""
    shape = tuple(int(dim) for dim in shape)
    if is_torch(like) and dtype != "i4":
        torch = sys.modules["torch"]
        name = _TORCH[dtype]
        if not hasattr(torch, name):
            name = name.replace("uint", "int")
        return torch.empty(shape, dtype=getattr(torch, name))
    if dtype in _NUMPY:
        return np.empty(shape, _NUMPY[dtype])
    count = int(np.prod(shape, dtype=np.int64))
    memory = np.empty(shape, np.uint16) if dtype == "bf16" else np.zeros((count + 1) // 2, np.uint8)
    return _tandem.view(memory, dtype, list(shape))


def view(array, dtype, shape=None, strides=None, offset=0):
    """The memory of `array` with another dtype, for what numpy has no dtype for.

    array:   contiguous memory; it stays in use as long as the view.
    dtype:   one of DTYPES. bf16: e.g. over uint16; i4: two to a byte, the even element in the low half.
    shape:   extents; absent: those of the array, its last one in elements of `dtype`.
    strides: in elements; absent: row-major.   offset: of the first element, in elements.
    Errors: InvalidArgument where the view does not lie inside the array.

    >>> tandem.view(numpy.zeros((2, 8), numpy.uint8), "i4").shape
    (2, 16)
    """
    if shape is None:
        shape = list(array.shape)
        bits = {"f64": 64, "i64": 64, "u64": 64, "f32": 32, "i32": 32, "u32": 32, "i4": 4, "i8": 8, "u8": 8}.get(dtype, 16)
        shape[-1] = shape[-1] * array.dtype.itemsize * 8 // bits
    return _tandem.view(array, dtype, list(shape), list(strides or []), offset)
