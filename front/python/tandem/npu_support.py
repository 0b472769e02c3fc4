# SPDX-License-Identifier: Apache-2.0
"""What cann_ops and torch_npu share: the vendor's arguments as tandem's."""
import numpy as np

from ._arrays import is_torch, view
from ._errors import InvalidArgument


def plain(tensor):
    """A tensor's memory without its history; None stays None."""
    return tensor.detach() if is_torch(tensor) else tensor


def dense(tensor):
    """plain(), contiguous."""
    tensor = plain(tensor)
    return tensor.contiguous() if is_torch(tensor) else tensor


def lengths_of(lengths):
    """A list of integers, from a list or a tensor."""
    if lengths is None:
        return None
    return [int(one) for one in (lengths.tolist() if hasattr(lengths, "tolist") else lengths)]


def heads_order(query, key, value, heads, kv_heads, block_table):
    """(order, query, key, value): which dimension of four holds the heads."""
    query = dense(query)
    if len(query.shape) == 2:  # (B, N*D)
        query = query.reshape(query.shape[0], 1, query.shape[1])
    if len(query.shape) == 3 and query.shape[1] == heads and heads > 1 and len(key.shape) == 4:  # (B, N, D)
        query = query.reshape(query.shape[0], 1, *query.shape[1:])
    if len(query.shape) == 3:
        return "bsh", query, *(_flat_heads(one) for one in (key, value))
    return ("bsnd" if query.shape[1] == 1 and query.shape[2] == heads else "bnsd"), query, key, value


def _flat_heads(cache):
    """(blocks, size, heads, D) as (blocks, size, heads * D)."""
    return cache.reshape(*cache.shape[:2], -1) if len(cache.shape) == 4 else cache


def four_bits(tensor):
    """int32 tensors hold eight int4 each: a view of them; others as they are."""
    tensor = plain(tensor)
    if tensor is None or str(tensor.dtype).replace("torch.", "") != "int32":
        return tensor
    base = tensor if tensor.is_contiguous() else tensor.transpose(-1, -2)
    flat = base.reshape(-1).numpy().view(np.uint8)
    shape, last = list(tensor.shape), -1 if base is tensor else -2
    shape[last] *= 8
    strides = [step * 8 for step in tensor.stride()]
    strides[last] = 1
    return view(flat, "i4", shape, strides)


def communicator_of(group):
    """The Communicator of a name, a process group, or None (the default group)."""
    from . import c10d

    if isinstance(group, str):
        if group not in c10d.GROUPS:
            raise InvalidArgument(f"group: hcom is '{group}', a name of get_hccl_comm_name wanted", 161002)
        return c10d.GROUPS[group]
    if group is None:
        from torch.distributed.distributed_c10d import _get_default_group

        group = _get_default_group()
    return getattr(group, "comm", group)
