# SPDX-License-Identifier: Apache-2.0
"""Importing it ends a program with 77 (skipped) where numpy is missing."""
import sys

try:
    import numpy  # noqa: F401
except ImportError:
    print("skipped: no numpy for this Python (Debian: python3-numpy)")
    sys.exit(77)
