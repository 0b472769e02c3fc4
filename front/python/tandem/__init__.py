# SPDX-License-Identifier: Apache-2.0
"""Fused compute and communication operators for tensor-parallel inference on CPUs: the same bits everywhere.

Every operator is a function of arrays (numpy, torch, anything with DLPack); no memory is copied.

>>> import numpy, tandem
>>> y = tandem.rms_norm(numpy.ones((2, 4), numpy.float32), numpy.ones(4, numpy.float32))

Between ranks: tandem.Communicator. Errors: tandem.Error and its classes.
"""
from . import _errors
from ._arrays import DTYPES, dtype_of, view
from ._communicator import Communicator, Pending
from ._errors import (Cancelled, Error, InputOutput, InvalidArgument, Malformed, Mismatch, NullArgument, OutOfMemory,
                      PeerLost, TimedOut, Unsupported)
from ._operators import FUNCTIONS as _FUNCTIONS
from ._tandem import View, __version__, device_count

globals().update(_FUNCTIONS)

__all__ = ["DTYPES", "Cancelled", "Communicator", "Error", "InputOutput", "InvalidArgument", "Malformed", "Mismatch",
           "NullArgument", "OutOfMemory", "Pending", "PeerLost", "TimedOut", "Unsupported", "View", "__version__",
           "device_count", "dtype_of", "view", *sorted(_FUNCTIONS)]
