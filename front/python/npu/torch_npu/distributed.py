# SPDX-License-Identifier: Apache-2.0
"""init_process_group(backend="hccl")."""
from tandem.c10d import ProcessGroupTandem, register


class ProcessGroupHCCL(ProcessGroupTandem):
    """The process group under the device's name."""

    backend = "hccl"

    def get_hccl_comm_name(self, rank, *, init_comm=True):
        """The name that operators take as hcom."""
        return self.comm.name


register("hccl", ProcessGroupHCCL)
