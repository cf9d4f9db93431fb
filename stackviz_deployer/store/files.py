# SPDX-License-Identifier: Apache-2.0
"""Files that survive a power cut, their removal, and what a person does about a disk that fails."""

from __future__ import annotations

import errno
import os
import re
import shutil
from pathlib import Path

from twisted.logger import Logger

from stackviz_deployer.errors import OutOfFilesError, StoreError

log = Logger()

FULL = "the server's disk is full"
AWAY = "the server cannot reach its data"
UNWRITABLE = "the server cannot write to its disk"

_FULL = (errno.ENOSPC, errno.EDQUOT)
_AWAY = (errno.ESTALE, errno.EIO, errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTDOWN)
_SENT = re.compile(r"(/uploads/)[^/]+")
_UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)


def fsync_file(path: Path) -> None:
    """Wait until the file's bytes are on the disk.  Raises OSError, also for a symbolic link."""
    _fsync(path, os.O_RDONLY | os.O_NOFOLLOW)


def fsync_directory(path: Path) -> None:
    """Wait until the names in a directory are on the disk: those made, renamed and removed.

    Some network file systems have no such call, since their names are durable when they are made.
    """
    try:
        _fsync(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise


def remove(path: Path) -> bool:
    """Remove a file or a whole directory; whether it is gone.  What cannot be removed is logged and left."""
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    except FileNotFoundError:
        pass
    except OSError as error:
        _tell(path, error)
        return False
    return True


def shown(path: str) -> str:
    """A path for the log and for /health: the id of what somebody sent is not theirs to know."""
    return _SENT.sub(r"\1(what somebody sent)", path)


def _tell(path: Path, error: OSError) -> None:
    why, at = error.strerror or shown(str(error)), shown(str(error.filename or path))
    log.error("cannot remove {path}: {why} ({at})", path=shown(str(path)), why=why, at=at)


def explained(error: OSError, what: str) -> StoreError:
    """``error`` in words; ``what`` names the place when the error does not."""
    if OutOfFilesError.fits(error):
        return OutOfFilesError(shown(str(error.filename or what)))
    said = f"{shown(str(error.filename or what))}: {error.strerror or shown(str(error))}"
    if error.errno in _FULL:
        return StoreError(f"{said}; make room on the disk", reason=FULL)
    if error.errno in _AWAY:
        return StoreError(f"{said}; look into the kernel's log, and whether it is mounted", reason=AWAY)
    if error.errno in _UNWRITABLE:
        return StoreError(f"{said}; give this user the rights to the state directory", reason=UNWRITABLE)
    return StoreError(
        f"{said}; make room on the disk, and give this user the rights to the state directory",
        reason=UNWRITABLE,
    )


def _fsync(path: Path, flags: int) -> None:
    fd = os.open(path, flags)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
