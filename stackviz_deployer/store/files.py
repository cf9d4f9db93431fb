# SPDX-License-Identifier: Apache-2.0
"""Making files and their names survive a power cut."""

from __future__ import annotations

import os
from pathlib import Path


def fsync_file(path: Path) -> None:
    """Wait until the file's bytes are on the disk.  Raises OSError, also for a symbolic link."""
    _fsync(path, os.O_RDONLY | os.O_NOFOLLOW)


def fsync_directory(path: Path) -> None:
    """Wait until the names in a directory are on the disk: those made, renamed and removed."""
    _fsync(path, os.O_RDONLY | os.O_DIRECTORY)


def _fsync(path: Path, flags: int) -> None:
    fd = os.open(path, flags)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
