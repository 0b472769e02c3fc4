#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# run.sh [--prefix P] [--json] [--timeout S] [--only GLOB] [--ranks N,N] [--mpi-home M] DIR...: builds and runs the samples
# in checkouts of the vendor's public repositories against an installed P/cann, each with the vendor's own build line or
# Makefile: operator samples (ops-transformer), the HCCL examples (hccl), hccl_test under mpirun (oam-tools), the ATB demos (ascend-transformer-boost). The
# checkouts are only read.
exec python3 "$(dirname "$0")/run.py" "$@"
