# SPDX-License-Identifier: Apache-2.0
"""The operators of cann_ops by their names and argument orders, on tandem."""
import tandem
from tandem.npu_support import dense, heads_order, lengths_of, plain

__all__ = ["add_rms_norm", "dynamic_quant", "incre_flash_attention", "incre_flash_attetion", "linear", "quantize",
           "reduce_scatter", "reshape_and_cache", "rope"]


def incre_flash_attention(query, key_cache, value_cache, pse_shift=None, atten_mask=None, context_lens=None,
                          dequant_scale1=None, quant_scale1=None, dequant_scale2=None, quant_scale2=None,
                          quant_offset2=None, antiquant_scale=None, antiquant_offset=None, block_tables=None,
                          kv_padding_size=None, num_heads=1, scale=1.0, kv_heads=0):
    """One new token of each sequence: softmax(scale * q @ k^T + pse_shift) @ v over its context.

    query (B, 1, N*D), (B, 1, N, D) or (B, N, 1, D); caches alike, or with block_tables (blocks, block_size, ..).
    context_lens: positions of each sequence, a list or tensor; absent: all.
    """
    refused = {"dequant_scale1": dequant_scale1, "quant_scale1": quant_scale1, "dequant_scale2": dequant_scale2,
               "kv_padding_size": kv_padding_size}
    for name, value in refused.items():
        if value is not None:
            raise tandem.Unsupported(f"incre_flash_attention: {name} is given, none wanted on this device", 161002)
    order, query, key_cache, value_cache = heads_order(query, key_cache, value_cache, num_heads, kv_heads, block_tables)
    return tandem.incre_flash_attention(
        query, [dense(key_cache)], [dense(value_cache)], pse=plain(pse_shift), mask=plain(atten_mask),
        block_table=plain(block_tables), kv_scale=plain(antiquant_scale), kv_offset=plain(antiquant_offset),
        y_scale=plain(quant_scale2), y_offset=plain(quant_offset2), lengths=lengths_of(context_lens),
        heads=num_heads, kv_heads=kv_heads, scale=scale, order=order, dtype="i8" if quant_scale2 is not None else None)


incre_flash_attetion = incre_flash_attention  # the published call spells it so


def add_rms_norm(x, residual, weight, epsilon=1e-6):
    """(norm of x + residual, x + residual)."""
    return tandem.rms_norm(plain(x), plain(weight), residual=plain(residual), sum=True, epsilon=epsilon)


def rope(query, key, cos, sin):
    """(query, key) turned, new tensors."""
    query, key = plain(query).clone(), plain(key).clone()
    tandem.rope(query, key=key, cos=plain(cos), sin=plain(sin))
    return query, key


def quantize(x, scale, offset=None):
    """int8 of round(x * scale + offset)."""
    return tandem.quantize(plain(x), plain(scale).reshape(-1), offset=None if offset is None else plain(offset).reshape(-1))


def dynamic_quant(x, smoothScales=None):
    """(y, scale): scale = max|x * smooth| / 127 of each row, y = round(x * smooth / scale)."""
    return tandem.dynamic_quant(plain(x), smooth=plain(smoothScales))


def linear(x1, x2, bias=None):
    """x1 @ x2 + bias, x2 (k, n)."""
    return tandem.linear(plain(x1), plain(x2), bias=plain(bias), transpose=False)


def reduce_scatter(x, op="sum", group=None):
    """This rank's share of the first dimension of x summed over the ranks of a process group or Communicator."""
    from tandem.npu_support import communicator_of

    return communicator_of(group).reduce_scatter(dense(x), op=op)


def reshape_and_cache(key, value, key_cache, value_cache, slot_indices):
    """Writes rows of key and value into slots of the caches."""
    tandem.reshape_and_cache(plain(key), plain(value), plain(slot_indices), plain(key_cache), plain(value_cache))
