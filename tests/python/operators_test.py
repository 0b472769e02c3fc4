# SPDX-License-Identifier: Apache-2.0
"""tandem's operators registered with torch: the bits of the plain functions, shapes without data, compiled graphs."""
import threading
import unittest

import torch_parts  # noqa: F401  skips without torch

import torch

import tandem
import tandem.torch

x, w = torch.randn(4, 32), torch.randn(8, 32)
gamma, scale = torch.ones(32), torch.full((8,), 0.1)
q = torch.randint(-9, 9, (4, 32), dtype=torch.int8)
ops = torch.ops.tandem
ONE_RANK = tandem.torch.use(tandem.Communicator.local(1)[0])
SAMPLES = {
    "rms_norm": (x, gamma), "add_rms_norm": (x, x, gamma), "swiglu": (x,), "softmax": (x,), "dynamic_quant": (x,),
    "linear": (x, w), "mm_all_reduce": (x, w.t(), ONE_RANK),
    "mm_all_reduce_add_rms_norm": (x, w.t(), torch.ones(4, 8), torch.ones(8), ONE_RANK),
    "mm_all_reduce_add_rms_norm_": (x, w.t(), torch.ones(4, 8), torch.ones(8), ONE_RANK),
    "quant_matmul": (q, torch.ones(32, 8, dtype=torch.int8), scale),
}


def options(name):
    return {"dtype": torch.float16} if name == "quant_matmul" else {}


def listed(result):
    return result if isinstance(result, (tuple, list)) else (result,)


class Registered(unittest.TestCase):
    def test_shapes_without_data_are_those_of_the_results(self):
        self.assertEqual(set(SAMPLES), set(tandem.torch.SCHEMAS))
        for name, arguments in SAMPLES.items():
            operator = getattr(ops, name)
            meta = [one.to("meta") if torch.is_tensor(one) else one for one in arguments]
            for made, wanted in zip(listed(operator(*meta, **options(name))), listed(operator(*arguments, **options(name)))):
                self.assertEqual((made.shape, made.dtype, made.stride()), (wanted.shape, wanted.dtype, wanted.stride()), name)

    def test_the_bits_of_the_functions(self):
        self.assertTrue(torch.equal(ops.rms_norm(x, gamma, 1e-5), tandem.rms_norm(x, gamma, epsilon=1e-5)))
        self.assertTrue(torch.equal(ops.linear(x, w), tandem.linear(x, w)))
        residual = torch.ones(4, 8)
        norm = ops.mm_all_reduce_add_rms_norm_(x, w.t(), residual, torch.ones(8), ONE_RANK)
        y, wanted = ops.mm_all_reduce_add_rms_norm(x, w.t(), torch.ones(4, 8), torch.ones(8), ONE_RANK)
        self.assertTrue(torch.equal(residual, y) and torch.equal(norm, wanted))

    def test_opcheck(self):
        if not hasattr(torch.library, "opcheck"):
            self.skipTest(f"torch {torch.__version__} has no opcheck")
        for name, arguments in SAMPLES.items():
            with self.subTest(name):
                torch.library.opcheck(getattr(ops, name).default, arguments, options(name))


def mlp(x, up, down, residual, gamma, group):
    inner = torch.nn.functional.silu(x @ up)
    return ops.mm_all_reduce_add_rms_norm(inner, down, residual, gamma, group)


class Compiled(unittest.TestCase):
    def test_a_tensor_parallel_layer_has_the_bits_of_eager(self):
        if not hasattr(torch, "compile"):
            self.skipTest(f"torch {torch.__version__} has no torch.compile")
        up, down, results = torch.randn(32, 16), torch.randn(16, 32), {}
        compiled = torch.compile(mlp, fullgraph=True, backend="aot_eager")

        def run(group, function, key):
            half = slice(group.rank * 8, group.rank * 8 + 8)
            name = tandem.torch.use(group)
            results[key, group.rank] = function(x, up[:, half], down[half], x, gamma, name)

        for group in tandem.Communicator.local(1):
            run(group, mlp, "eager")
            run(group, compiled, "compiled")
        for eager, other in zip(results["eager", 0], results["compiled", 0]):
            self.assertTrue(torch.equal(eager, other))
        self.assertEqual(threading.active_count(), 1)


if __name__ == "__main__":
    unittest.main()
