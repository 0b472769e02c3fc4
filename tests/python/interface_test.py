# SPDX-License-Identifier: Apache-2.0
"""What a program sees of the package: arrays, results, errors, documentation, hostile arguments."""
import gc
import inspect
import os
import re
import warnings
import unittest
from pathlib import Path

import numpy_parts  # noqa: F401  skips without numpy

import numpy as np

import tandem
from tandem._operators import TABLES


def norm(x, gamma, epsilon=1e-6):
    wide = x.astype(np.float64)
    return wide / np.sqrt((wide * wide).mean(-1, keepdims=True) + epsilon) * gamma


class Arrays(unittest.TestCase):
    def setUp(self):
        self.x = np.random.default_rng(1).standard_normal((3, 40)).astype(np.float32)
        self.gamma = np.linspace(0.5, 2, 40, dtype=np.float32)

    def test_results_are_made(self):
        y, rstd = tandem.rms_norm(self.x, self.gamma, rstd=True)
        self.assertEqual((y.shape, rstd.shape, rstd.dtype), ((3, 40), (3, 1), np.float32))
        np.testing.assert_allclose(y, norm(self.x, self.gamma), rtol=2e-6)

    def test_results_may_be_brought(self):
        y = np.zeros_like(self.x)
        self.assertIs(tandem.rms_norm(self.x, self.gamma, y=y), y)
        np.testing.assert_array_equal(y, tandem.rms_norm(self.x, self.gamma))

    def test_strides_and_read_only_arrays(self):
        wide = np.zeros((3, 80), np.float32)
        wide[:, ::2] = self.x
        wide.setflags(write=False)
        np.testing.assert_array_equal(tandem.rms_norm(wide[:, ::2], self.gamma), tandem.rms_norm(self.x, self.gamma))
        with self.assertRaises(TypeError):
            tandem.rms_norm(self.x, self.gamma, y=wide[:, ::2])

    def test_bf16_and_int4_as_views(self):
        bits = (self.x.view(np.uint32) >> 16).astype(np.uint16)
        y = tandem.rms_norm(tandem.view(bits, "bf16"), tandem.view(bits[0].copy(), "bf16"))
        self.assertEqual((y.dtype, y.shape, y.array.dtype), ("bf16", (3, 40), np.uint16))
        packed = tandem.quantize(self.x, self.gamma, y=tandem.view(np.zeros((3, 20), np.uint8), "i4"))
        self.assertEqual(packed.shape, (3, 40))
        with self.assertRaises(tandem.InvalidArgument):
            tandem.view(np.zeros(4, np.uint8), "f32", [2])

    def test_a_view_holds_its_memory(self):
        memory = bytearray(64)
        view = tandem.view(memory, "f32", [16])
        again = tandem.view(view, "f32", [8])
        del view
        with self.assertRaises(BufferError):
            memory.clear()
        np.testing.assert_array_equal(tandem.softmax(again), np.full(8, 0.125, np.float32))
        del again
        gc.collect()
        memory.clear()

    def test_products(self):
        a, b = np.ones((2, 3, 4), np.float16), np.full((4, 5), 0.5, np.float16)
        np.testing.assert_array_equal(tandem.matmul(a, b), np.full((2, 3, 5), 2, np.float16))
        self.assertEqual(tandem.matmul(a, b, dtype="f32").dtype, np.float32)
        y, scale = tandem.dynamic_quant(a)
        self.assertEqual((y.dtype, scale.shape), (np.int8, (2, 3)))

    def test_dlpack(self):
        class Foreign:
            def __init__(self, array):
                self.array, self.shape = array, array.shape

            def __dlpack__(self, **_):
                return self.array.__dlpack__()

            def __dlpack_device__(self):
                return self.array.__dlpack_device__()

        y = tandem.rms_norm(Foreign(self.x), Foreign(self.gamma))
        np.testing.assert_array_equal(y, tandem.rms_norm(self.x, self.gamma))


class Errors(unittest.TestCase):
    def test_fields(self):
        with self.assertRaises(tandem.InvalidArgument) as caught:
            tandem.rms_norm(np.ones((2, 4), np.float32), np.ones(3, np.float32))
        error = caught.exception
        self.assertIsInstance(error, ValueError)
        self.assertEqual((error.operator, error.argument, error.code), ("rms_norm", "x", 161002))
        self.assertIn("[2,4]", error.given)
        self.assertIn("3", error.wanted)
        with self.assertRaises(tandem.NullArgument) as caught:
            tandem.rms_norm(x=np.ones(3, np.float32))
        self.assertEqual((caught.exception.argument, caught.exception.code), ("gamma", 161001))

    def test_wrong_words(self):
        with self.assertRaisesRegex(tandem.InvalidArgument, "rounding.*half_even"):
            tandem.quantize(np.ones((1, 2), np.float32), np.ones(2, np.float32), rounding="up")
        with self.assertRaisesRegex(TypeError, "unexpected"):
            tandem.rms_norm(np.ones(2, np.float32), np.ones(2, np.float32), eps=1)
        with self.assertRaisesRegex(TypeError, "x is a str"):
            tandem.rms_norm("x", np.ones(2, np.float32))

    def test_an_error_at_run_does_not_stick(self):
        with self.assertRaises(tandem.InvalidArgument):
            tandem.gather(np.ones((2, 2), np.float32), np.array([9], np.int32))
        np.testing.assert_array_equal(tandem.gather(np.eye(2, dtype=np.float32), np.array([1], np.int32)), [[0, 1]])


class Documentation(unittest.TestCase):
    def test_every_operator_is_documented(self):
        for name in TABLES:
            function = getattr(tandem, name)
            self.assertIn("Example", function.__doc__)
            self.assertIn("Raises", inspect.getdoc(function))
            self.assertTrue(inspect.signature(function).parameters)


    def test_the_examples_of_the_pages_run(self):
        ran = 0
        for page in sorted((Path(__file__).parents[2] / "docs/operators").glob("*.md")):
            for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.S):
                with self.subTest(page.stem):
                    exec(compile(block, page.name, "exec"), {})
                    ran += 1
        self.assertGreaterEqual(ran, 20)


HOSTILE = [None, 0, -1, 2**70, 1e300, float("nan"), "x", b"x", [], [1], (), {}, object(), True,
           np.zeros(0, np.float32), np.zeros((2, 0), np.float16), np.float32(1), np.zeros((), np.int8),
           np.zeros((2, 3), np.float32), np.zeros((3, 2), np.float16).T, np.zeros(5, np.complex64), np.array(["a"]),
           np.array([None]), np.zeros((1,) * 9, np.float32), np.ones((4, 4), np.int8), np.ones((2, 2, 2), np.int32),
           np.broadcast_to(np.float32(1), (4, 4)), np.zeros((4, 4), np.float32)[::-1], [np.ones((2, 2), np.float32)] * 2]


class Hostile(unittest.TestCase):
    """Arguments drawn from what nobody means: an exception or a result, never the end of the interpreter."""

    def draw(self, random, table):
        given = {}
        for row in table["operands"]:
            if random.random() < 0.8:
                given[row["name"]] = HOSTILE[random.integers(len(HOSTILE))]
        for one in table["numbers"] + table["words"] + table["lists"]:
            if random.random() < 0.3:
                given[one["name"]] = HOSTILE[random.integers(len(HOSTILE))]
        return given

    def test_every_operator(self):
        random, answered = np.random.default_rng(7), 0
        warnings.simplefilter("ignore")
        for name, table in TABLES.items():
            for _ in range(int(os.environ.get("TANDEM_FUZZ_CALLS", "200"))):
                try:
                    getattr(tandem, name)(**self.draw(random, table))
                    answered += 1
                except (tandem.Error, TypeError, ValueError, OverflowError, RuntimeError):
                    pass
        gc.collect()
        self.assertGreater(answered, 0)


if __name__ == "__main__":
    unittest.main()
