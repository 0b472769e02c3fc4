# SPDX-License-Identifier: Apache-2.0
"""The npu_* operators by the device's names and argument orders. Errors are tandem.Error: they name the argument."""
import torch

import tandem
from tandem.npu_support import communicator_of, dense, four_bits, heads_order, lengths_of, plain

_NAMES = {torch.float16: "f16", torch.bfloat16: "bf16", torch.float32: "f32", torch.int8: "i8", torch.int32: "i32",
          torch.uint8: "u8", torch.int64: "i64", torch.qint8: "i8", torch.quint8: "u8"}
_TORCH = {name: one for one, name in reversed(_NAMES.items())}
_NUMBERS = {0: "f32", 1: "f16", 2: "i8", 3: "i32", 4: "u8", 9: "i64", 27: "bf16", 29: "i4"}  # aclDataType


def _dtype(operator, name, one, absent=None):
    """The name of a dtype of torch or a number of aclDataType."""
    if one is None:
        return absent
    found = _NUMBERS.get(one) if isinstance(one, int) else _NAMES.get(one)
    if found is None:
        raise tandem.Unsupported(f"{operator}: {name} is {one}, one of {', '.join(_NUMBERS.values())} wanted", 161002)
    return found


def _eight_bits(operator, name, one):
    if _dtype(operator, name, one, "i8") != "i8":
        raise tandem.Unsupported(f"{operator}: {name} is {one}, int8 wanted", 161002)


def _none_of(operator, **given):
    for name, value in given.items():
        if value is not None and value is not False:
            raise tandem.Unsupported(f"{operator}: {name} is given, none wanted on this device", 161002)


def _only(operator, wanted, **given):
    for name, value in given.items():
        if value != wanted:
            raise tandem.Unsupported(f"{operator}: {name} is {value}, {wanted} wanted on this device", 161002)


def _sum_only(operator, reduce_op):
    if reduce_op != "sum":
        raise tandem.InvalidArgument(f"{operator}: reduce_op is {reduce_op}, sum wanted", 161002)


def _row(tensor):
    """[1, n] as [n], which every operator takes."""
    tensor = plain(tensor)
    return tensor.reshape(-1) if tensor is not None and tensor.dim() == 2 and tensor.shape[0] == 1 else tensor


def _product(x1, x2, bias, scale, offset, dequant, token, group_size):
    """Operands of the products between ranks."""
    weight = four_bits(x2)
    if scale is not None and scale.dim() == 2 and scale.shape[0] > 1 and group_size == 0:
        group_size = -(-weight.shape[0] // scale.shape[0])
    grouped = scale is not None and scale.dim() == 2 and scale.shape[0] > 1
    return {"x1": dense(x1), "x2": weight, "bias": _row(bias), "scale": plain(scale) if grouped else _row(scale),
            "offset": plain(offset) if grouped else _row(offset), "channel": _row(dequant),
            "token": None if token is None else dense(token).reshape(-1), "group_size": group_size if grouped else 0}


def _result(operator, name, dequant, dtype):
    """The dtype of an int8 product's result."""
    if dtype is not None or dequant is None:
        return _dtype(operator, name, dtype)
    return "bf16" if dequant.dtype == torch.bfloat16 else "f16"


def npu_mm_all_reduce_base(x1, x2, hcom, *, reduce_op="sum", bias=None, antiquant_scale=None, antiquant_offset=None,
                           x3=None, dequant_scale=None, pertoken_scale=None, comm_quant_scale_1=None,
                           comm_quant_scale_2=None, antiquant_group_size=0, comm_turn=0, group_sizes=None, y_dtype=None,
                           x1_dtype=None, x2_dtype=None, dequant_scale_dtype=None, pertoken_scale_dtype=None,
                           comm_quant_mode=0, comm_mode=None):
    """Sum over ranks of x1 @ x2 + bias + x3. hcom: a name of get_hccl_comm_name().

    comm_quant_scale_1 and _2, both or neither, of an int8 product: partial sums travel as int8.
    """
    _sum_only("npu_mm_all_reduce_base", reduce_op)
    _none_of("npu_mm_all_reduce_base", group_sizes=group_sizes, x1_dtype=x1_dtype, x2_dtype=x2_dtype,
             dequant_scale_dtype=dequant_scale_dtype, pertoken_scale_dtype=pertoken_scale_dtype)
    _only("npu_mm_all_reduce_base", 0, comm_quant_mode=comm_quant_mode)
    given = _product(x1, x2, bias, antiquant_scale, antiquant_offset, dequant_scale, pertoken_scale, antiquant_group_size)
    return tandem.mm_all_reduce(x3=None if x3 is None else dense(x3), wire_first=_row(comm_quant_scale_1),
                                wire_second=_row(comm_quant_scale_2), group=communicator_of(hcom),
                                dtype=_result("npu_mm_all_reduce_base", "y_dtype", dequant_scale, y_dtype), **given)


def _add_rms_norm(x1, x2, residual, gamma, hcom, in_place, reduce_op, epsilon, bias, scale, offset, dequant, group_size):
    _sum_only("npu_mm_all_reduce_add_rms_norm", reduce_op)
    given = _product(x1, x2, bias, scale, offset, dequant, None, group_size)
    flat = dense(residual).reshape(*given["x1"].shape[:-1], -1)
    y = flat if in_place else torch.empty_like(flat)
    y, norm = tandem.mm_all_reduce(residual=flat, gamma=_row(gamma), y=y, norm=torch.empty_like(flat), epsilon=epsilon,
                                   group=communicator_of(hcom), **given)
    if in_place and y.data_ptr() != residual.data_ptr():
        residual.detach().copy_(y.view(residual.shape))
    return (residual if in_place else y.view(residual.shape)), norm.view(residual.shape)


def npu_mm_all_reduce_add_rms_norm(x1, x2, residual, gamma, hcom, *, reduce_op="sum", epsilon=1e-06, bias=None,
                                   antiquant_scale=None, antiquant_offset=None, dequant_scale=None,
                                   antiquant_group_size=0, comm_turn=0):
    """(y, norm): y = sum over ranks of x1 @ x2 + bias, + residual; norm = rms_norm(y) * gamma."""
    return _add_rms_norm(x1, x2, residual, gamma, hcom, False, reduce_op, epsilon, bias, antiquant_scale,
                         antiquant_offset, dequant_scale, antiquant_group_size)


def npu_mm_all_reduce_add_rms_norm_(x1, x2, residual, gamma, hcom, *, reduce_op="sum", epsilon=1e-06, bias=None,
                                    antiquant_scale=None, antiquant_offset=None, dequant_scale=None,
                                    antiquant_group_size=0, comm_turn=0):
    """As npu_mm_all_reduce_add_rms_norm, with y in the memory of residual."""
    return _add_rms_norm(x1, x2, residual, gamma, hcom, True, reduce_op, epsilon, bias, antiquant_scale,
                         antiquant_offset, dequant_scale, antiquant_group_size)


def npu_mm_reduce_scatter_base(self, x2, hcom, world_size, *, reduce_op="sum", bias=None, x1_scale=None, x2_scale=None,
                               comm_turn=0, output_dtype=None, comm_mode=None):
    """This rank's rows of the sum over ranks of self @ x2 + bias."""
    _sum_only("npu_mm_reduce_scatter_base", reduce_op)
    given = _product(self, x2, bias, None, None, x2_scale, x1_scale, 0)
    dtype = _result("npu_mm_reduce_scatter_base", "output_dtype", x2_scale, output_dtype)
    return tandem.mm_reduce_scatter(group=communicator_of(hcom), dtype=dtype, **given)


def npu_all_gather_base_mm(self, x2, hcom, world_size, *, bias=None, x1_scale=None, x2_scale=None, gather_index=0,
                           gather_output=True, comm_turn=0, output_dtype=None, comm_mode=None):
    """(rows of all ranks @ x2 + bias, rows of all ranks)."""
    if gather_index != 0:
        raise tandem.Unsupported(f"npu_all_gather_base_mm: gather_index is {gather_index}, 0 wanted", 161002)
    given = _product(self, x2, bias, None, None, x2_scale, x1_scale, 0)
    dtype = _result("npu_all_gather_base_mm", "output_dtype", x2_scale, output_dtype)
    made = tandem.all_gather_mm(group=communicator_of(hcom), gathered=gather_output, dtype=dtype, **given)
    return made if gather_output else (made, torch.empty(0, dtype=self.dtype))


# --- norms and quantisation


def npu_rms_norm(self, gamma, epsilon=1e-06):
    """(y, rstd)."""
    return tandem.rms_norm(plain(self), plain(gamma), rstd=True, epsilon=epsilon)


def npu_add_rms_norm(x1, x2, gamma, epsilon=1e-06):
    """(y, rstd, x1 + x2)."""
    y, total, rstd = tandem.rms_norm(plain(x1), plain(gamma), residual=plain(x2), sum=True, rstd=True, epsilon=epsilon)
    return y, rstd, total


def npu_add_rms_norm_quant(x1, x2, gamma, scales1, zero_points1, beta=None, scales2=None, zero_points2=None, *, axis=-1,
                           epsilon=1e-06, div_mode=True, dst_type=None):
    """(y1, y2, x1 + x2)."""
    _eight_bits("npu_add_rms_norm_quant", "dst_type", dst_type)
    _only("npu_add_rms_norm_quant", x1.dim() - 1, axis=axis % x1.dim())
    if scales2 is None:
        _none_of("npu_add_rms_norm_quant", zero_points2=zero_points2)
    made = tandem.rms_norm_quant(plain(x1), scale1=_row(scales1), gamma=plain(gamma), residual=plain(x2), beta=plain(beta),
                                 offset1=_row(zero_points1), scale2=_row(scales2), offset2=_row(zero_points2),
                                 y2=scales2 is not None, sum=True, epsilon=epsilon, divide=div_mode)
    return made if scales2 is not None else (made[0], torch.zeros_like(made[0]), made[1])


def npu_add_rms_norm_dynamic_quant(x1, x2, gamma, *, smooth_scale1=None, smooth_scale2=None, beta=None, epsilon=1e-6,
                                   output_mask=None, y_dtype=None):
    """(y1, y2, x1 + x2, scale1, scale2)."""
    _eight_bits("npu_add_rms_norm_dynamic_quant", "y_dtype", y_dtype)
    _none_of("npu_add_rms_norm_dynamic_quant", output_mask=output_mask)
    both = smooth_scale2 is not None
    made = tandem.rms_norm_dynamic_quant(plain(x1), plain(gamma), residual=plain(x2), beta=plain(beta),
                                         smooth1=plain(smooth_scale1), smooth2=plain(smooth_scale2), y2=both,
                                         row_scale2=both, sum=True, epsilon=epsilon)
    if both:
        y1, scale1, y2, scale2, total = made
        return y1, y2, total, scale1, scale2
    y1, scale1, total = made
    return y1, torch.zeros_like(y1), total, scale1, torch.zeros_like(scale1)


def npu_quantize(self, scales, zero_points, dtype, axis=1, div_mode=True):
    """Integers of self / scales + zero_points (div_mode), or self * scales + zero_points."""
    wanted = _dtype("npu_quantize", "dtype", dtype)
    offset = zero_points if zero_points is None else plain(zero_points)
    if offset is not None and offset.dtype not in (torch.int8, torch.int32) and offset.dtype != scales.dtype:
        offset = offset.to(scales.dtype)
    turned = axis % self.dim() != self.dim() - 1 and scales.numel() > 1
    x = plain(self).transpose(axis, -1) if turned else plain(self)
    y = tandem.quantize(x, _row(scales), offset=_row(offset), divide=div_mode, dtype=wanted)
    return y.transpose(axis, -1) if turned else y


def npu_dynamic_quant(input, *, smooth_scales=None, group_index=None, dst_type=None, quant_mode="pertoken",
                      dst_type_max=0.0):
    """(y, scale of each row)."""
    _rows_of_int8("npu_dynamic_quant", dst_type, quant_mode, dst_type_max)
    return tandem.dynamic_quant(plain(input), smooth=plain(smooth_scales), group=plain(group_index))


def npu_dynamic_quant_asymmetric(input, *, smooth_scales=None, group_index=None, dst_type=None, quant_mode="pertoken",
                                 dst_type_max=0.0):
    """(y, scale, offset of each row)."""
    _rows_of_int8("npu_dynamic_quant_asymmetric", dst_type, quant_mode, dst_type_max)
    return tandem.dynamic_quant(plain(input), smooth=plain(smooth_scales), group=plain(group_index), offset=True)


def _rows_of_int8(operator, dst_type, quant_mode, dst_type_max):
    _eight_bits(operator, "dst_type", dst_type)
    _only(operator, "pertoken", quant_mode=quant_mode)
    _only(operator, 0, dst_type_max=dst_type_max)


def npu_anti_quant(x, scale, *, offset=None, dst_dtype=None, src_dtype=None):
    """(x + offset) * scale."""
    dtype = _dtype("npu_anti_quant", "dst_dtype", dst_dtype, "f16")
    return tandem.dequantize(four_bits(x), _row(scale), offset=_row(offset), dtype=dtype)


def npu_trans_quant_param(scale, offset=None, round_mode=0):
    """Words that int8 products take as scales."""
    return tandem.trans_quant_param(plain(scale), offset=plain(offset), round=round_mode == 1, dtype="i64")


# --- products of one device


def npu_quant_matmul(x1, x2, scale, *, offset=None, pertoken_scale=None, bias=None, output_dtype=None, x1_dtype=None,
                     x2_dtype=None, pertoken_scale_dtype=None, scale_dtype=None, group_sizes=None):
    """(x1 @ x2 + bias) * scale * pertoken_scale."""
    dtype = _dtype("npu_quant_matmul", "output_dtype", output_dtype, "i8")
    _none_of("npu_quant_matmul", x1_dtype=x1_dtype, x2_dtype=x2_dtype, pertoken_scale_dtype=pertoken_scale_dtype,
             scale_dtype=scale_dtype, group_sizes=group_sizes)
    return tandem.quant_matmul(plain(x1), four_bits(x2), scale=_row(scale), offset=plain(offset),
                               token=plain(pertoken_scale), bias=_row(bias), dtype=dtype)


def npu_weight_quant_batchmatmul(x, weight, antiquant_scale, antiquant_offset=None, quant_scale=None, quant_offset=None,
                                 bias=None, antiquant_group_size=0, inner_precise=0, weight_dtype=None):
    """x @ ((weight + antiquant_offset) * antiquant_scale) + bias."""
    _none_of("npu_weight_quant_batchmatmul", quant_scale=quant_scale, quant_offset=quant_offset, weight_dtype=weight_dtype)
    return tandem.weight_quant_matmul(plain(x), four_bits(weight), plain(antiquant_scale), offset=plain(antiquant_offset),
                                      bias=_row(bias), group=antiquant_group_size)


def npu_linear(input, weight, bias=None):
    """input @ weight^T + bias."""
    return tandem.linear(plain(input), plain(weight), bias=plain(bias))


def npu_grouped_matmul(x, weight, *, bias=None, scale=None, offset=None, antiquant_scale=None, antiquant_offset=None,
                       per_token_scale=None, group_list=None, activation_input=None, activation_quant_scale=None,
                       activation_quant_offset=None, split_item=0, group_type=None, group_list_type=0, act_type=0,
                       tuning_config=None, output_dtype=None, x_dtype=None, weight_dtype=None, scale_dtype=None,
                       per_token_scale_dtype=None):
    """Products of groups of rows, each with its own weight: a list of results."""
    _none_of("npu_grouped_matmul", offset=offset, activation_input=activation_input,
             activation_quant_scale=activation_quant_scale, activation_quant_offset=activation_quant_offset,
             x_dtype=x_dtype, weight_dtype=weight_dtype, scale_dtype=scale_dtype,
             per_token_scale_dtype=per_token_scale_dtype)
    for name, value, wanted in (("act_type", act_type, (0, 2, 5)), ("group_type", group_type, (None, -1, 0)),
                                ("group_list_type", group_list_type, (0, 1))):
        if value not in wanted:
            raise tandem.Unsupported(f"npu_grouped_matmul: {name} is {value}, one of {wanted} wanted on this device", 161002)
    own = torch.is_tensor(group_list)
    weights = [four_bits(one) for one in weight]
    options = {"dtype": _dtype("npu_grouped_matmul", "output_dtype", output_dtype)}
    if len(x) == 1 and (split_item in (2, 3) or len(weight) > 1 or weight[0].dim() == 3):
        made = _TORCH[options["dtype"]] if output_dtype is not None else torch.float16 if scale else x[0].dtype
        options["y"] = [torch.empty(x[0].shape[0], weights[0].shape[-1], dtype=made)]
    return tandem.grouped_matmul(
        [plain(one) for one in x], weights, bias=_list(bias), scale=_list(antiquant_scale),
        offset=_list(antiquant_offset), dequant=_list(scale), token=_list(per_token_scale),
        group=plain(group_list) if own else None, ends=None if own or group_list is None else list(group_list),
        counts=group_list_type == 1, activation={0: "copy", 2: "gelu", 5: "silu"}[act_type], **options)


def _list(tensors):
    return None if not tensors else [plain(one) for one in tensors]


# --- element-wise, rotation


def npu_swiglu(self, dim=-1):
    """silu of the first half along dim, times the second."""
    return tandem.swiglu(plain(self), dim=dim)


def npu_rotary_mul(input, r1, r2, rotary_mode="half"):
    """input * r1 + turned(input) * r2."""
    x = plain(input).clone()
    cos, sin = (plain(one).expand(*x.shape[:2], *one.shape[2:]) for one in (r1, r2))
    heads_first = cos.shape[1] == 1 or r1.shape[1] == 1 and x.shape[1] > 1 and r1.shape[2] > 1
    if heads_first and x.shape[2] > 1:
        turned = npu_rotary_mul(x.transpose(1, 2), r1.transpose(1, 2), r2.transpose(1, 2), rotary_mode)
        return turned.transpose(1, 2).contiguous()
    cos, sin = (one.reshape(*x.shape[:2], x.shape[-1]).contiguous() for one in (cos, sin))
    return tandem.rope(x, cos=cos, sin=sin, form=rotary_mode)


def npu_apply_rotary_pos_emb(query, key, cos, sin, layout="BSH", rotary_mode="half"):
    """(query, key) turned, in place."""
    query, key, cos, sin = (plain(one) for one in (query, key, cos, sin))
    rows = query.shape[:2]
    cos, sin = (one.reshape(*rows, one.shape[-1]).contiguous() for one in (cos, sin))
    tandem.rope(query, cos, sin, key=key, form=rotary_mode)
    return query, key


# --- attention


def npu_incre_flash_attention(query, key, value, *, padding_mask=None, atten_mask=None, pse_shift=None,
                              actual_seq_lengths=None, antiquant_scale=None, antiquant_offset=None, block_table=None,
                              dequant_scale1=None, quant_scale1=None, dequant_scale2=None, quant_scale2=None,
                              quant_offset2=None, kv_padding_size=None, num_heads=1, scale_value=1.0, input_layout="BSH",
                              num_key_value_heads=0, block_size=0, inner_precise=1):
    """One new token of each sequence."""
    _none_of("npu_incre_flash_attention", padding_mask=padding_mask, dequant_scale1=dequant_scale1,
             quant_scale1=quant_scale1, dequant_scale2=dequant_scale2, kv_padding_size=kv_padding_size)
    return tandem.incre_flash_attention(
        plain(query), [dense(key)], [dense(value)], pse=plain(pse_shift), mask=_mask(atten_mask),
        block_table=plain(block_table), kv_scale=plain(antiquant_scale), kv_offset=plain(antiquant_offset),
        y_scale=plain(quant_scale2), y_offset=plain(quant_offset2), lengths=lengths_of(actual_seq_lengths),
        heads=num_heads, kv_heads=num_key_value_heads, scale=scale_value, order=input_layout.lower(),
        block_size=block_size, dtype="i8" if quant_scale2 is not None else None)


def _mask(mask):
    return None if mask is None else plain(mask).to(torch.uint8)


def _band(operator, mask, sparse_mode, pre_tokens, next_tokens, order, key, lengths):
    """(mask, causal). A band's ends are all positions, or none behind the own one."""
    if sparse_mode not in range(5):
        raise tandem.Unsupported(f"{operator}: sparse_mode is {sparse_mode}, 0 to 4 wanted", 161002)
    all_of_it = max(lengths or [key.shape[{"bnsd": 2, "tnd": 0}.get(order, 1)]])
    free = sparse_mode == 0 and mask is not None
    if free or sparse_mode == 4:
        if pre_tokens < all_of_it:
            raise tandem.Unsupported(f"{operator}: pre_tokens is {pre_tokens}, at least {all_of_it} wanted", 161002)
        if next_tokens != 0 and not (free and next_tokens >= all_of_it):
            raise tandem.Unsupported(f"{operator}: next_tokens is {next_tokens}, 0 or at least {all_of_it} wanted", 161002)
    if sparse_mode >= 2:
        return None, "left_up" if sparse_mode == 2 else "right_down"
    return _mask(mask), "left_up" if free and next_tokens == 0 else "none"


def npu_fused_infer_attention_score(query, key, value, *, pse_shift=None, atten_mask=None, actual_seq_lengths=None,
                                    actual_seq_lengths_kv=None, dequant_scale1=None, quant_scale1=None,
                                    dequant_scale2=None, quant_scale2=None, quant_offset2=None, antiquant_scale=None,
                                    antiquant_offset=None, key_antiquant_scale=None, key_antiquant_offset=None,
                                    value_antiquant_scale=None, value_antiquant_offset=None, block_table=None,
                                    query_padding_size=None, kv_padding_size=None, key_shared_prefix=None,
                                    value_shared_prefix=None, actual_shared_prefix_len=None, query_rope=None,
                                    key_rope=None, key_rope_antiquant_scale=None, num_heads=1, scale=1.0,
                                    pre_tokens=2147483647, next_tokens=2147483647, input_layout="BSH",
                                    num_key_value_heads=0, sparse_mode=0, inner_precise=0, block_size=0,
                                    antiquant_mode=0, key_antiquant_mode=0, value_antiquant_mode=0,
                                    softmax_lse_flag=False):
    """(attention of any number of tokens of each sequence, empty)."""
    operator = "npu_fused_infer_attention_score"
    _none_of(operator, dequant_scale1=dequant_scale1, quant_scale1=quant_scale1, dequant_scale2=dequant_scale2,
             key_antiquant_scale=key_antiquant_scale, key_antiquant_offset=key_antiquant_offset,
             value_antiquant_scale=value_antiquant_scale, value_antiquant_offset=value_antiquant_offset,
             query_padding_size=query_padding_size, kv_padding_size=kv_padding_size, key_shared_prefix=key_shared_prefix,
             value_shared_prefix=value_shared_prefix, actual_shared_prefix_len=actual_shared_prefix_len,
             query_rope=query_rope, key_rope=key_rope, key_rope_antiquant_scale=key_rope_antiquant_scale,
             softmax_lse_flag=softmax_lse_flag)
    _only(operator, 0, antiquant_mode=antiquant_mode, key_antiquant_mode=key_antiquant_mode,
          value_antiquant_mode=value_antiquant_mode)
    order, lengths = input_layout.lower(), lengths_of(actual_seq_lengths_kv)
    mask, causal = _band(operator, atten_mask, sparse_mode, pre_tokens, next_tokens, order, key, lengths)
    y = tandem.fused_infer_attention(
        plain(query), [dense(key)], [dense(value)], pse=plain(pse_shift), mask=mask, block_table=plain(block_table),
        kv_scale=plain(antiquant_scale), kv_offset=plain(antiquant_offset), y_scale=plain(quant_scale2),
        y_offset=plain(quant_offset2), lengths=lengths, query_lengths=lengths_of(actual_seq_lengths), heads=num_heads,
        kv_heads=num_key_value_heads, scale=scale, order=order, causal=causal, block_size=block_size,
        dtype="i8" if quant_scale2 is not None else None)
    return y, torch.zeros(1)


def npu_prompt_flash_attention(query, key, value, *, padding_mask=None, atten_mask=None, pse_shift=None,
                               actual_seq_lengths=None, deq_scale1=None, quant_scale1=None, deq_scale2=None,
                               quant_scale2=None, quant_offset2=None, num_heads=1, scale_value=1.0,
                               pre_tokens=2147483647, next_tokens=0, input_layout="BSH", num_key_value_heads=0,
                               actual_seq_lengths_kv=None, sparse_mode=0):
    """Attention of whole prompts."""
    _none_of("npu_prompt_flash_attention", padding_mask=padding_mask, deq_scale1=deq_scale1, quant_scale1=quant_scale1,
             deq_scale2=deq_scale2)
    return npu_fused_infer_attention_score(
        query, key, value, atten_mask=atten_mask, pse_shift=pse_shift, actual_seq_lengths=actual_seq_lengths,
        actual_seq_lengths_kv=actual_seq_lengths_kv, quant_scale2=quant_scale2, quant_offset2=quant_offset2,
        num_heads=num_heads, scale=scale_value, pre_tokens=pre_tokens, next_tokens=next_tokens,
        input_layout=input_layout, num_key_value_heads=num_key_value_heads, sparse_mode=sparse_mode)[0]


def _npu_reshape_and_cache(key, value, key_cache, value_cache, slot_indices):
    """Writes rows of key and value into slots of the caches."""
    tandem.reshape_and_cache(plain(key), plain(value), plain(slot_indices), plain(key_cache), plain(value_cache))


def _npu_paged_attention(query, key_cache, value_cache, num_kv_heads, num_heads, scale_value, block_table, context_lens,
                         out, *, workspace=None):
    """One new token of each sequence over a paged cache, into out."""
    order, queries, keys, values = heads_order(query, key_cache, value_cache, num_heads, num_kv_heads, block_table)
    y = tandem.incre_flash_attention(queries, [dense(keys)], [dense(values)], block_table=plain(block_table),
                                     lengths=lengths_of(context_lens), heads=num_heads, kv_heads=num_kv_heads,
                                     scale=scale_value, order=order)
    out.detach().copy_(y.view(out.shape))


# --- mixture of experts


def npu_moe_gating_top_k_softmax(x, finished=None, k=1):
    """(weights, expert ids, numbers of slots)."""
    return tandem.moe_gating(plain(x), finished=plain(finished), row=True, top_k=k)


def npu_moe_init_routing(x, row_idx, expert_idx, active_num):
    """(rows of x by expert, place of each slot, expert ids in order)."""
    return tandem.moe_init_routing(plain(x), plain(expert_idx), row=plain(row_idx), sorted_expert=True, active=active_num)


def npu_moe_finalize_routing(expanded_permuted_rows, skip1, skip2, bias, scales, expanded_src_to_dst_row,
                             export_for_source_row, drop_pad_mode=0):
    """The sum of each row's experts."""
    return tandem.moe_finalize_routing(plain(expanded_permuted_rows), plain(expanded_src_to_dst_row), skip1=plain(skip1),
                                       skip2=plain(skip2), bias=plain(bias), scales=plain(scales),
                                       expert=plain(export_for_source_row), row_major=drop_pad_mode in (2, 3))


def npu_moe_compute_expert_tokens(sorted_expert_for_source_row, num_expert):
    """Rising counts of each expert."""
    return tandem.moe_expert_tokens(plain(sorted_expert_for_source_row), tokens=torch.empty(num_expert, dtype=torch.int32))


# --- formats


def npu_format_cast(self, acl_format, customize_dtype=None, input_dtype=None):
    """The tensor itself: this device reads every layout through strides."""
    return self


def get_npu_format(self):
    """ND."""
    return 2


__all__ = [name for name in globals() if name.startswith(("npu_", "_npu_"))] + ["get_npu_format"]
