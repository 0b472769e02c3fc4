# SPDX-License-Identifier: Apache-2.0
"""Exceptions of tandem: what went wrong, as fields."""
import re


class Error(RuntimeError):
    """An operator or a communicator refused a call, or failed in it.

    operator, argument, given, wanted: parts of the message, or None where it has none.
    rank: the rank at fault, or None.   kind: the library's name of the error.   code: the vendor's code of it.
    """

    kind = "internal"

    def __init__(self, message, code=361001):
        super().__init__(message)
        self.code = code
        self.message = message
        self.operator, self.argument, self.given, self.wanted = _parts(message)
        rank = re.search(r"\brank (\d+)", message)
        self.rank = int(rank[1]) if rank else None


class NullArgument(Error, ValueError):
    """A required argument is absent."""

    kind = "null_argument"


class InvalidArgument(Error, ValueError):
    """A shape, dtype, value or combination outside the contract."""

    kind = "invalid_argument"


class Unsupported(Error, NotImplementedError):
    """Legal, but not on this device or in this build."""

    kind = "unsupported"


class OutOfMemory(Error, MemoryError):
    """Memory, window or file space could not be had."""

    kind = "out_of_memory"


class PeerLost(Error, ConnectionError):
    """A rank died, left or aborted; the communicator is dead."""

    kind = "peer_lost"


class TimedOut(Error, TimeoutError):
    """A rank made no progress before the deadline; the communicator is dead."""

    kind = "timed_out"


class Mismatch(Error, ValueError):
    """Ranks called different operators or shapes."""

    kind = "mismatch"


class InputOutput(Error, OSError):
    """A file or socket could not be read or written."""

    kind = "io"


class Malformed(Error, ValueError):
    """A file or message does not follow its format."""

    kind = "malformed"


class Cancelled(Error):
    """Work was dropped because other work failed before it."""

    kind = "cancelled"


_CLASSES = {one.kind: one for one in (NullArgument, InvalidArgument, Unsupported, OutOfMemory, PeerLost, TimedOut,
                                      Mismatch, InputOutput, Malformed, Cancelled)}
_FORM = re.compile(r"^(?P<operator>\w+): (?P<argument>\w+) ?(?P<given>.*?), (?P<wanted>[^,]*(?:,[^,]*)*?) wanted")


def _parts(message):
    found = _FORM.match(message)
    if not found:
        operator = re.match(r"^(\w+): ", message)
        return (operator[1] if operator else None), None, None, None
    return found["operator"], found["argument"], found["given"], found["wanted"]


def make(kind, code, message):
    """The exception for an error of the library."""
    return _CLASSES.get(kind, Error)(message, code)
