#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes front/python/tandem/__init__.pyi from the operators' tables.

python_stubs.py           writes it (PYTHONPATH: a build's python folder)
python_stubs.py --check   writes nothing; exit code 1 when it differs
"""
import inspect
import sys
from pathlib import Path

from tandem._operators import TABLES, parameters_of

PATH = Path(__file__).resolve().parent.parent / "front/python/tandem/__init__.pyi"
HEAD = '''# SPDX-License-Identifier: Apache-2.0
# Written by tools/python_stubs.py; change the tables or that instead.
from typing import Any, Literal, Optional, Sequence, Union

from ._arrays import DTYPES as DTYPES, dtype_of as dtype_of, view as view
from ._communicator import Communicator as Communicator, Pending as Pending
from ._errors import (Cancelled as Cancelled, Error as Error, InputOutput as InputOutput,
                      InvalidArgument as InvalidArgument, Malformed as Malformed, Mismatch as Mismatch,
                      NullArgument as NullArgument, OutOfMemory as OutOfMemory, PeerLost as PeerLost,
                      TimedOut as TimedOut, Unsupported as Unsupported)

__version__: str
Array = Any  # numpy, torch, anything with DLPack, View
Wanted = Union[Array, bool, None]  # True: make it

class View:
    @property
    def array(self) -> Any: ...
    @property
    def dtype(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def strides(self) -> tuple[int, ...]: ...

def device_count() -> int: ...
'''


def annotation(table, name):
    """The type of a parameter."""
    for row in table["operands"]:
        if row["name"] == name:
            one = "Union[Array, Sequence[Array]]" if row["list"] else "Array"
            if row["role"] == "option_output":
                return "Wanted"
            return one if row["role"] in ("input", "inout") else f"Optional[{one}]"
    for number in table["numbers"]:
        if number["name"] == name:
            return type(number["default"]).__name__
    for word in table["words"]:
        if word["name"] == name:
            return "Literal[" + ", ".join(f'"{value}"' for value in word["values"]) + "]"
    if any(one["name"] == name for one in table["lists"]):
        return "Optional[Sequence[int]]"
    return {"group": "Communicator", "device": "int"}.get(name, "Optional[str]")


def stub(name, table):
    """One function's declaration."""
    parts, star = [], False
    for parameter in parameters_of(table).parameters.values():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and not star:
            parts.append("*")
            star = True
        default = "" if parameter.default is inspect.Parameter.empty else " = ..."
        parts.append(f"{parameter.name}: {annotation(table, parameter.name)}{default}")
    return f"def {name}({', '.join(parts)}) -> Any: ...\n"


def main():
    text = HEAD + "".join(stub(name, TABLES[name]) for name in sorted(TABLES))
    if "--check" in sys.argv:
        if PATH.read_text() != text:
            sys.exit("front/python/tandem/__init__.pyi is out of date: run tools/python_stubs.py")
        return
    PATH.write_text(text)


if __name__ == "__main__":
    main()
