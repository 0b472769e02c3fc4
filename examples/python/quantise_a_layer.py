# SPDX-License-Identifier: Apache-2.0
"""Quantises a layer to int8 (weights by column, activations by row) and compares it with the float layer."""
import numpy as np

import tandem

random = np.random.default_rng(0)
x = random.standard_normal((8, 512)).astype(np.float16)
weight = (random.standard_normal((512, 256)) * 0.05).astype(np.float16)

exact = tandem.matmul(x, weight, dtype="f32")
columns, scale = tandem.dynamic_quant(np.ascontiguousarray(weight.T))  # a row of weight^T is a column
rows, token = tandem.dynamic_quant(x)
y = tandem.quant_matmul(rows, columns.T, scale=scale, token=token, dtype="f16")
error = np.abs(y.astype(np.float32) - exact).max() / np.abs(exact).max()
print(f"weights: {weight.nbytes} -> {columns.nbytes + scale.nbytes} bytes; largest error {error:.2%} of the largest value")
