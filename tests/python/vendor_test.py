# SPDX-License-Identifier: Apache-2.0
"""Programs written for the device: the published sample and call, and the npu_* functions."""
import os
import subprocess
import sys
import unittest
from pathlib import Path

from torch_parts import assert_within, free_port, product_bound, spawn

import torch
import torch.distributed as dist
import tandem
import torch_npu

import seed_sample

HERE = Path(__file__).parent


def checked_sample(rank, size, port):
    """The sample's function as it stands, with its operands and result looked at."""
    seen = []
    operator = torch_npu.npu_mm_all_reduce_base

    def look(input_, weight, hcom, **named):
        seen.extend((input_, weight, operator(input_, weight, hcom, **named)))
        return seen[-1]

    torch_npu.npu_mm_all_reduce_base = look
    seed_sample.run_mm_all_reduce_base(rank, size, "127.0.0.1", port, [128, 512], [512, 64], torch.float16)
    x, w, y = seen
    value, bound = product_bound(x, w)
    dist.all_reduce(value)
    dist.all_reduce(bound)
    assert_within(y, value, bound)
    same = [torch.empty_like(y) for _ in range(size)]
    dist.all_gather(same, y)
    assert all(torch.equal(one, y) for one in same), "the same bits on every rank"


def int8_between_ranks(hcom, size):
    """Partial sums as int8: whole numbers within the range, so nothing is lost."""
    x, w = torch.ones(4, 32, dtype=torch.int8), torch.ones(32, 16, dtype=torch.int8)
    words, unit = torch_npu.npu_trans_quant_param(torch.full((16,), 0.5)), torch.ones(16).half()
    y = torch_npu.npu_mm_all_reduce_base(x, w, hcom, dequant_scale=words, comm_quant_scale_1=unit, comm_quant_scale_2=unit)
    assert torch.equal(y, torch.full((4, 16), 16.0 * size).half())
    small = torch_npu.npu_mm_all_reduce_base(x, w, hcom, dequant_scale=words, comm_quant_scale_1=unit / 16,
                                             comm_quant_scale_2=unit)
    assert torch.equal(small, torch.full((4, 16), 7.9375 * size).round().half()), "127 / 16 is the most a rank can send"
    for wrong in ({"comm_quant_scale_1": unit}, {"comm_quant_mode": 1}, {"x1_dtype": torch.int8}):
        try:
            torch_npu.npu_mm_all_reduce_base(x, w, hcom, dequant_scale=words, **wrong)
        except tandem.Error:
            continue
        raise AssertionError(f"{wrong} is taken")


def functions_of_ranks(rank, size, port):
    torch_npu.npu.set_device(rank)
    dist.init_process_group("hccl", rank=rank, world_size=size, init_method=f"tcp://127.0.0.1:{port}")
    group = dist.distributed_c10d._get_default_group()
    hcom = group.get_hccl_comm_name(rank)
    assert hcom == group._get_backend(torch.device("npu")).get_hccl_comm_name(rank)
    torch.manual_seed(3)
    x, w = torch.randn(6, 64 * size).half(), torch.randn(64 * size, 16).half()
    mine, part = x[:, rank * 64:][:, :64].contiguous(), w[rank * 64:][:64]
    whole = torch_npu.npu_mm_all_reduce_base(mine, part, hcom, bias=torch.ones(16).half() if rank == 0 else None)
    value, bound = product_bound(x, w)
    assert_within(whole, value + 1, bound + 1e-6)
    transposed = torch_npu.npu_mm_all_reduce_base(mine, part.t().contiguous().t(), hcom, x3=torch.ones(6, 16).half()
                                                  if rank == 0 else None)
    assert torch.equal(transposed, whole)
    words = torch_npu.npu_trans_quant_param(torch.full((16,), 0.5))
    exact = torch.randint(-3, 3, (4, 32), dtype=torch.int8), torch.randint(-3, 3, (32, 16), dtype=torch.int8)
    y = torch_npu.npu_mm_all_reduce_base(*exact, hcom, dequant_scale=words)
    assert torch.equal(y.double(), exact[0].double() @ exact[1].double() * 0.5 * size), "int8 sums are exact"
    four = torch.randint(-2**31, 2**31 - 1, (64, 2), dtype=torch.int32)
    weight_only = torch_npu.npu_mm_all_reduce_base(mine, four, hcom, antiquant_scale=torch.full((16,), 0.125).half())
    nibbles = torch.stack([(four.long() >> (4 * i)) & 15 for i in range(8)], -1).reshape(64, 16)
    nibbles = (nibbles - 16 * (nibbles > 7)).double() * 0.125
    value, bound = product_bound(mine, nibbles)
    dist.all_reduce(value), dist.all_reduce(bound)
    assert_within(weight_only, value, bound * 2)
    if rank == 0:
        print("functions of ranks: ok")
    rows = torch_npu.npu_mm_reduce_scatter_base(mine, part, hcom, size)
    plain = torch_npu.npu_mm_all_reduce_base(mine, part, hcom)
    assert torch.equal(rows, plain[rank * (6 // size):][:6 // size])
    y, gathered = torch_npu.npu_all_gather_base_mm(mine[:3], w[:64], hcom, size)
    parts = [torch.empty(3, 64).half() for _ in range(size)]
    dist.all_gather(parts, mine[:3].contiguous())
    assert torch.equal(gathered, torch.cat(parts)) and y.shape == (3 * size, 16)
    residual, gamma = torch.randn(6, 16).half(), torch.ones(16).half()
    y, normed = torch_npu.npu_mm_all_reduce_add_rms_norm(mine, part, residual, gamma, hcom)
    assert torch.equal(normed, torch_npu.npu_rms_norm(y, gamma)[0])
    kept = residual.clone()
    in_place, _ = torch_npu.npu_mm_all_reduce_add_rms_norm_(mine, part, kept, gamma, hcom)
    assert torch.equal(kept, y) and in_place.data_ptr() == kept.data_ptr()
    int8_between_ranks(hcom, size)


class Sample(unittest.TestCase):
    def test_the_results_are_the_sums_of_the_products(self):
        spawn(checked_sample, 8)

    def test_it_ends_without_a_traceback(self):
        done = subprocess.run([sys.executable, HERE / "seed_sample.py"], capture_output=True, text=True, timeout=400)
        self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)
        self.assertNotIn("Traceback", done.stderr)

    def test_the_text_is_the_page(self):
        pages = list(Path(os.environ.get("TANDEM_TEST_DATA", "/nowhere")).glob("seeds/002*"))
        if not pages:
            self.skipTest("TANDEM_TEST_DATA has no seeds")
        text = pages[0].read_text()
        wanted = [line.strip() for line in text[text.index("import torch\n"):].splitlines() if line.strip()]
        lines = (HERE / "seed_sample.py").read_text().splitlines()
        own = [line.strip() for line in lines[lines.index("import torch"):] if line.strip()]
        self.assertEqual([line for line in own if "__main__" not in line], wanted)


class Ranks(unittest.TestCase):
    def test_functions(self):
        spawn(functions_of_ranks, 2)


class Calls(unittest.TestCase):
    def test_the_published_attention_call(self):
        from cann_ops import incre_flash_attetion

        batch, num_heads, kv_heads, size = 2, 4, 2, 16
        blocks, length, scale = 5, [9, 16], 0.25
        query = torch.randn(batch, 1, num_heads * size).half()
        key_cache, value_cache = torch.randn(blocks, 8, kv_heads * size).half(), torch.randn(blocks, 8, kv_heads * size).half()
        context_lens, block_tables = torch.tensor(length), torch.tensor([[3, 0], [1, 4]], dtype=torch.int32)
        y = incre_flash_attetion(query, key_cache, value_cache,
                                 None, None,
                                 context_lens,
                                 None, None, None, None, None, None, None,
                                 block_tables, None,
                                 num_heads,
                                 scale,
                                 kv_heads)
        for b in range(batch):
            keys, values = (torch.cat([cache[block] for block in block_tables[b]])[:length[b]].view(-1, kv_heads, size).double()
                            for cache in (key_cache, value_cache))
            for head in range(num_heads):
                q = query[b, 0, head * size:][:size].double()
                p = torch.softmax(keys[:, head // 2] @ q * scale, 0)
                torch.testing.assert_close(y[b, 0, head * size:][:size].double(), p @ values[:, head // 2], rtol=2e-3, atol=1e-3)

    def test_other_names_of_the_page(self):
        import cann_ops

        x, w = torch.randn(3, 8), torch.ones(8)
        y, total = cann_ops.add_rms_norm(x, x, w, 1e-6)
        torch.testing.assert_close(total, 2 * x)
        torch.testing.assert_close(y, 2 * x / (4 * x * x).mean(-1, keepdim=True).add(1e-6).sqrt())
        self.assertTrue(torch.equal(cann_ops.quantize(x, w * 10, w), (x * 10 + 1).round().clamp(-128, 127).to(torch.int8)))
        q, scale = cann_ops.dynamic_quant(x.half())
        torch.testing.assert_close(scale, x.half().float().abs().amax(-1) / 127)
        torch.testing.assert_close(cann_ops.linear(x, torch.eye(8), w), x + 1)
        cos, sin = torch.ones(1, 2, 4), torch.zeros(1, 2, 4)
        q, k = cann_ops.rope(torch.ones(1, 2, 3, 4), torch.ones(1, 2, 1, 4), cos, sin)
        self.assertTrue(torch.equal(q, torch.ones(1, 2, 3, 4)) and torch.equal(k, torch.ones(1, 2, 1, 4)))

    def test_functions_of_one_device(self):
        x, gamma = torch.randn(4, 32).half(), torch.ones(32).half()
        y, rstd = torch_npu.npu_rms_norm(x, gamma)
        torch.testing.assert_close(rstd, x.float().pow(2).mean(-1, keepdim=True).add(1e-6).rsqrt())
        added, _, total = torch_npu.npu_add_rms_norm(x, x, gamma)
        self.assertTrue(torch.equal(total, x + x))
        q, scale = torch_npu.npu_dynamic_quant(x)
        torch.testing.assert_close(q.float() * scale[:, None], x.float(), atol=0.03, rtol=0)
        words = torch_npu.npu_trans_quant_param(torch.tensor([0.5]))
        product = torch_npu.npu_quant_matmul(q, q.t(), words, output_dtype=torch.float16)
        self.assertTrue(torch.equal(product.double(), (q.double() @ q.double().t() * 0.5).half().double()))
        weight = torch.randint(-8, 8, (32, 8), dtype=torch.int8)
        y = torch_npu.npu_weight_quant_batchmatmul(x, weight, torch.full((8,), 0.5).half())
        torch.testing.assert_close(y.double(), x.double() @ weight.double() * 0.5, rtol=2e-3, atol=2e-2)
        left, right = torch_npu.npu_swiglu(x), x.float()
        torch.testing.assert_close(left.float(), torch.nn.functional.silu(right[:, :16]) * right[:, 16:], rtol=2e-3, atol=2e-3)
        weights, experts, row = torch_npu.npu_moe_gating_top_k_softmax(x, k=2)
        self.assertTrue(torch.equal(experts.long(), x.float().topk(2).indices))
        grouped = torch_npu.npu_grouped_matmul([x], [torch.eye(32).half().expand(2, 32, 32).contiguous()],
                                               group_list=torch.tensor([1, 4]), split_item=3, group_type=0)
        self.assertTrue(torch.equal(grouped[0], x))
        q = torch_npu.npu_quantize(x, torch.full((1,), 0.1), torch.zeros(1), torch.qint8, -1)
        self.assertEqual(q.dtype, torch.int8)

    def test_quantising_along_any_axis(self):
        x, scales = torch.randn(4, 4), torch.tensor([0.1, 0.2, 0.3, 0.4])
        for axis, shape in ((0, (4, 1)), (1, (1, 4)), (-1, (1, 4)), (-2, (4, 1))):
            y = torch_npu.npu_quantize(x, scales, None, torch.qint8, axis)
            self.assertTrue(torch.equal(y, (x / scales.view(shape)).round().to(torch.int8)), axis)
        with self.assertRaisesRegex(tandem.Unsupported, "dtype is torch.qint32"):
            torch_npu.npu_quantize(x, scales, None, torch.qint32, -1)

    def test_one_position_of_one_head(self):
        one = torch.ones(1, 1, 1, 8)
        self.assertEqual(torch_npu.npu_rotary_mul(torch.ones(2, 1, 1, 8), one, one).shape, (2, 1, 1, 8))
        x, angle = torch.randn(2, 3, 5, 8), torch.rand(1, 1, 5, 8)
        low, high = x.split(4, -1)
        wanted = x * angle.cos() + torch.cat([-high, low], -1) * angle.sin()
        torch.testing.assert_close(torch_npu.npu_rotary_mul(x, angle.cos(), angle.sin()), wanted)

    def test_groups_with_packed_weights(self):
        x, packed = torch.randn(4, 16).half(), torch.randint(-2**31, 2**31 - 1, (2, 16, 3), dtype=torch.int32)
        y = torch_npu.npu_grouped_matmul([x], [packed], antiquant_scale=[torch.full((2, 24), 0.5).half()],
                                         antiquant_offset=[torch.zeros(2, 24).half()],
                                         group_list=torch.tensor([1, 4]), split_item=3, group_type=0)[0]
        nibbles = torch.stack([(packed.long() >> (4 * i)) & 15 for i in range(8)], -1).reshape(2, 16, 24)
        weight = (nibbles - 16 * (nibbles > 7)).double() * 0.5
        wanted = torch.cat([x[:1].double() @ weight[0], x[1:].double() @ weight[1]])
        torch.testing.assert_close(y.double(), wanted, rtol=2e-3, atol=2e-2)

    def test_a_mask_beside_a_band(self):
        q = torch.randn(1, 4, 8).half()
        wanted = torch.nn.functional.softmax(
            (q[0].double() @ q[0].double().t()).masked_fill(torch.ones(4, 4).triu(1).bool(), -1e9), -1) @ q[0].double()
        nothing, triangle = torch.zeros(4, 4, dtype=torch.bool), torch.ones(4, 4, dtype=torch.bool).triu(1)
        for given in ({"sparse_mode": 2}, {"sparse_mode": 3}, {"atten_mask": triangle}, {"sparse_mode": 4, "next_tokens": 0},
                      {"atten_mask": nothing, "next_tokens": 0}):
            y = torch_npu.npu_fused_infer_attention_score(q, q, q, **given)[0]
            torch.testing.assert_close(y[0].double(), wanted, rtol=2e-3, atol=2e-3)
        y = torch_npu.npu_prompt_flash_attention(q, q, q, atten_mask=nothing)
        torch.testing.assert_close(y[0].double(), wanted, rtol=2e-3, atol=2e-3)

    def test_what_would_change_values_is_refused(self):
        x, q, one = torch.ones(2, 8).half(), torch.ones(1, 4, 8).half(), torch.ones(8).half()
        mask, attend = torch.zeros(4, 4, dtype=torch.bool), torch_npu.npu_fused_infer_attention_score
        calls = [
            lambda: attend(q, q, q, atten_mask=mask, pre_tokens=2), lambda: attend(q, q, q, sparse_mode=5),
            lambda: attend(q, q, q, atten_mask=mask, next_tokens=1), lambda: attend(q, q, q, key_antiquant_mode=1),
            lambda: attend(q, q, q, query_rope=q), lambda: attend(q, q, q, softmax_lse_flag=True),
            lambda: torch_npu.npu_prompt_flash_attention(q, q, q, atten_mask=mask, next_tokens=1),
            lambda: torch_npu.npu_prompt_flash_attention(q, q, q, padding_mask=mask),
            lambda: torch_npu.npu_dynamic_quant(x, dst_type=torch.quint4x2),
            lambda: torch_npu.npu_dynamic_quant_asymmetric(x, quant_mode="pertensor"),
            lambda: torch_npu.npu_add_rms_norm_quant(x, x, one, one, None, axis=0),
            lambda: torch_npu.npu_add_rms_norm_quant(x, x, one, one, None, dst_type=torch.uint8),
            lambda: torch_npu.npu_grouped_matmul([x], [torch.ones(8, 8).half()], act_type=1),
            lambda: torch_npu.npu_grouped_matmul([x], [torch.ones(8, 8).half()], activation_input=[x]),
        ]
        for number, call in enumerate(calls):
            with self.subTest(number), self.assertRaisesRegex(tandem.Unsupported, "wanted"):
                call()
        with self.assertRaisesRegex(TypeError, "num_head"):
            attend(q, q, q, num_head=7)
        with self.assertRaisesRegex(TypeError, "groups"):
            torch_npu.npu_grouped_matmul([x], [torch.ones(8, 8).half()], groups=1)

    def test_the_device(self):
        self.assertEqual(str(torch.device("npu:1")), "npu:1")
        self.assertIsInstance(torch.device("npu"), torch.device)
        x = torch.zeros(2, device="npu").npu().to("npu:0").to(torch.float16)
        self.assertTrue(x.is_npu and x.dtype == torch.float16)
        with torch.npu.device(1):
            self.assertEqual(torch.npu.current_device(), 1)
        torch.npu.synchronize()
        with self.assertRaisesRegex(RuntimeError, "device 99"):
            torch.npu.set_device(99)

    def test_errors_name_the_argument(self):
        with self.assertRaisesRegex(Exception, "hcom is 'nobody'"):
            torch_npu.npu_mm_all_reduce_base(torch.ones(1, 2).half(), torch.ones(2, 1).half(), "nobody")
        with self.assertRaisesRegex(Exception, "reduce_op is max, sum wanted"):
            torch_npu.npu_mm_all_reduce_base(torch.ones(1, 2).half(), torch.ones(2, 1).half(), "x", reduce_op="max")


if __name__ == "__main__":
    unittest.main()
