# SPDX-License-Identifier: Apache-2.0
"""torch_npu's names on tandem: programs written for the device run on this host's CPU.

Import it after torch, as with the device. It refuses to stand in for an installed torch_npu.
"""
import importlib.metadata as _metadata

try:
    _metadata.distribution("torch-npu")
    raise ImportError("torch_npu: the device's own torch_npu is installed; remove tandem's (tandem-npu) or that one")
except _metadata.PackageNotFoundError:
    pass

import torch  # noqa: E402

from . import _device, distributed, functions, npu  # noqa: E402
from .functions import *  # noqa: E402,F401,F403

__version__ = torch.__version__.split("+")[0].split("a")[0] + ".tandem"

_device.patch()
torch.npu = npu
for _name in functions.__all__:
    setattr(_device.namespace(), _name, getattr(functions, _name))
