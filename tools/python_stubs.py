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

__version__: str
DTYPES: tuple[str, ...]
Array = Any  # numpy, torch, anything with DLPack, View
Wanted = Union[Array, bool, None]  # True: make it

class Error(RuntimeError):
    kind: str
    code: int
    message: str
    operator: Optional[str]
    argument: Optional[str]
    given: Optional[str]
    wanted: Optional[str]
    rank: Optional[int]

class NullArgument(Error, ValueError): ...
class InvalidArgument(Error, ValueError): ...
class Unsupported(Error, NotImplementedError): ...
class OutOfMemory(Error, MemoryError): ...
class PeerLost(Error, ConnectionError): ...
class TimedOut(Error, TimeoutError): ...
class Mismatch(Error, ValueError): ...
class InputOutput(Error, OSError): ...
class Malformed(Error, ValueError): ...
class Cancelled(Error): ...

class Pending:
    def done(self) -> bool: ...
    def wait(self, timeout: float = ...) -> Any: ...

Op = Literal["sum", "prod", "max", "min", "avg"]
Counts = Optional[Sequence[int]]

class Communicator:
    @classmethod
    def local(cls, size: int, devices: Sequence[int] = ..., name: str = ..., window_bytes: int = ...) -> list[Communicator]: ...
    @classmethod
    def connect(cls, rank: int, size: int, name: str, address: str, *, device: int = ..., timeout: float = ...,
                call_timeout: float = ..., window_bytes: int = ...) -> Communicator: ...
    @property
    def rank(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def device(self) -> int: ...
    def split(self, ranks: Sequence[int], id: int, name: str = ...) -> Communicator: ...
    def shrink(self, timeout: float = ...) -> Communicator: ...
    def abort(self, reason: str = ...) -> None: ...
    def health(self) -> None: ...
    def close(self) -> None: ...
    def all_reduce(self, x: Array, out: Optional[Array] = ..., op: Op = ..., wait: bool = ...) -> Any: ...
    def reduce(self, x: Array, root: int = ..., out: Optional[Array] = ..., op: Op = ..., wait: bool = ...) -> Any: ...
    def reduce_scatter(self, x: Array, out: Optional[Array] = ..., op: Op = ..., counts: Counts = ...,
                       displacements: Counts = ..., wait: bool = ...) -> Any: ...
    def all_gather(self, x: Array, out: Optional[Array] = ..., counts: Counts = ..., displacements: Counts = ...,
                   wait: bool = ...) -> Any: ...
    def broadcast(self, x: Array, root: int = ..., wait: bool = ...) -> Any: ...
    def scatter(self, x: Optional[Array], out: Array, root: int = ..., wait: bool = ...) -> Any: ...
    def gather(self, x: Array, root: int = ..., out: Optional[Array] = ..., wait: bool = ...) -> Any: ...
    def all_to_all(self, x: Array, out: Optional[Array] = ..., counts: Counts = ..., receives: Counts = ...,
                   wait: bool = ...) -> Any: ...
    def send(self, x: Array, to: int, wait: bool = ...) -> Any: ...
    def recv(self, x: Array, source: int, wait: bool = ...) -> Any: ...
    def barrier(self) -> None: ...

def dtype_of(array: Array) -> str: ...
def view(array: Array, dtype: str, shape: Optional[Sequence[int]] = ..., strides: Optional[Sequence[int]] = ...,
         offset: int = ...) -> View: ...

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
