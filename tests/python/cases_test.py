# SPDX-License-Identifier: Apache-2.0
"""The case files of the C++ tests through Python: the same status, message and bits."""
import json
import os
import subprocess
import unittest

import numpy_parts  # noqa: F401  skips without numpy

import numpy as np

import tandem
from tandem._operators import TABLES

FAMILIES = ("norm quantize elementwise movement rope matmul attention grouped_matmul moe_routing transdata").split()
LISTS = {"lengths", "query_lengths", "ends"}
ACTIVATIONS = {0: "copy", 2: "gelu", 5: "silu"}


class Memory:
    """An operand's bytes, and a view as the case describes it."""

    def __init__(self, one):
        self.bytes = np.frombuffer(bytes.fromhex(one["bytes"]), np.uint8).copy()
        self.view = tandem.view(self.bytes, one["dtype"], one["dims"], one["strides"])

    def integers(self):
        return [int(value) for value in self.bytes.view({"i64": np.int64, "i32": np.int32}[self.view.dtype])]


def arguments_of(case):
    """Keyword arguments of the call, and the operands' memory."""
    table, memory, given = TABLES[case["op"]], {}, {}
    for name, operands in case.get("operands", {}).items():
        memory[name] = [Memory(one) for one in operands]
        if name in LISTS:
            given[name] = memory[name][0].integers()
            continue
        row = next((row for row in table["operands"] if row["name"] == name), None)
        if row is not None:
            given[name] = [one.view for one in memory[name]] if row["list"] else memory[name][0].view
    for name, text in case.get("numbers", {}).items():
        number = next((one for one in table["numbers"] if one["name"] == name), None)
        if number is not None:
            given[name] = float(text) if isinstance(number["default"], float) else int(float(text))
        elif name == "act":
            given["activation"] = ACTIVATIONS[int(float(text))]
    for name, value in case["words"].items():
        word = next((word for word in table["words"] if word["name"] == name), None)
        if word is not None:  # the C++ tests take an unknown word for the first
            value = value.lower() if name in ("order", "causal") else value
            given[name] = value if value in word["values"] else word["values"][0]
    return given, memory


class Cases(unittest.TestCase):
    def run_case(self, case):
        status, message = 0, ""
        try:
            given, memory = arguments_of(case)
            tandem._tandem.call(case["op"], given)
        except tandem.Error as error:
            status, message = error.code, error.message
        self.assertEqual(status, case["status"], f"{message!r}, C++: {case['message']!r}")
        if status or not case.get("operands"):
            return False
        for name, blocks in memory.items():
            wanted = case.get("results", {}).get(name) or [one["bytes"] for one in case["operands"][name]]
            self.assertEqual([block.bytes.tobytes().hex() for block in blocks], wanted, name)
        return True

    def test_files(self):
        lines = subprocess.run([os.environ["TANDEM_DUMP_CASES"], *FAMILIES], capture_output=True, text=True, check=True)
        ran, operators = 0, set()
        for line in lines.stdout.splitlines():
            case = json.loads(line)
            with self.subTest(case["id"]):
                if self.run_case(case):
                    ran += 1
                    operators.add(case["op"])
        print(f"{len(lines.stdout.splitlines())} cases, {ran} with results, {len(operators)} operators")
        single = {name for name, table in TABLES.items() if not table["between_ranks"]}
        self.assertEqual(single - operators, set(), "operators without a case")


if __name__ == "__main__":
    unittest.main()
