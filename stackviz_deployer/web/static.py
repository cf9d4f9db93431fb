# SPDX-License-Identifier: Apache-2.0
"""A directory of files, read and compressed once at start, served from memory."""

from __future__ import annotations

import gzip
import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path, PurePosixPath

from attrs import field, frozen
from twisted.logger import Logger
from twisted.web.server import Request

from stackviz_deployer.errors import ConfigError
from stackviz_deployer.web.negotiate import accepts_gzip, not_modified

log = Logger()

MAX_TREE_BYTES = 64 << 20
MAX_TREE_FILES = 5000

# Pinned: the host's mime.types must not decide what a browser runs.
CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".csv": "text/csv; charset=utf-8",
    ".eot": "application/vnd.ms-fontobject",
    ".gif": "image/gif",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".jpg": "image/jpeg",
    ".js": "application/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".mjs": "application/javascript; charset=utf-8",
    ".otf": "font/otf",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".ttf": "font/ttf",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".xml": "application/xml",
}
DEFAULT_TYPE = "application/octet-stream"


@frozen
class StaticFile:
    """A body in memory, with its gzip twin when that is smaller."""

    content_type: bytes
    body: bytes = field(repr=False)
    zipped: bytes | None = field(repr=False)
    tag: str

    @classmethod
    def of(cls, body: bytes, content_type: str) -> StaticFile:
        """Compress and hash ``body``."""
        zipped = gzip.compress(body, 9, mtime=0)
        return cls(
            content_type.encode("ascii"),
            body,
            zipped if len(zipped) < len(body) else None,
            hashlib.sha256(body).hexdigest()[:32],
        )

    def answer(self, request: Request, *, status: int = 200, cache: bytes = b"no-cache") -> bytes:
        """Make this file the answer to a GET or HEAD; returns the body (empty for a 304 or HEAD).

        Names carry no hash, so by default a client may keep the file but has to ask each time.
        """
        as_gzip = self.zipped is not None and accepts_gzip(request)
        request.setHeader(b"Cache-Control", cache)
        if self.zipped is not None:
            request.setHeader(b"Vary", b"Accept-Encoding")
        if status == 200 and cache != b"no-store":
            etag = f'"{self.tag}-gz"' if as_gzip else f'"{self.tag}"'
            if not_modified(request, etag.encode("ascii")):
                return b""
        body = self.zipped if as_gzip and self.zipped is not None else self.body
        request.setResponseCode(status)
        request.setHeader(b"Content-Type", self.content_type)
        request.setHeader(b"Content-Length", b"%d" % len(body))
        if as_gzip:
            request.setHeader(b"Content-Encoding", b"gzip")
        return b"" if request.method == b"HEAD" else body


class StaticTree:
    """The files of a directory, by their path below it.

    Nothing on disk is touched after ``load``: an address is a key of a dict, so it cannot
    lead out of the directory, and there are no listings.
    """

    def __init__(self, files: Mapping[str, StaticFile]) -> None:
        self._files = files

    @classmethod
    def load(
        cls, root: Path, *, max_bytes: int = MAX_TREE_BYTES, max_files: int = MAX_TREE_FILES
    ) -> StaticTree:
        """Read everything below ``root``; blocking, for the time before the reactor runs.

        Dot files are left out, and so is what is not a regular file inside ``root`` after
        symbolic links.  Raises ConfigError when it is no directory or over a limit.
        """
        files: dict[str, StaticFile] = {}
        total = 0
        for name, path in _regular_files(root):
            try:
                body = path.read_bytes()
            except OSError as error:
                raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
            total += len(body)
            if total > max_bytes or len(files) >= max_files:
                raise ConfigError(
                    f"{root} holds more than {max_bytes >> 20} MiB or {max_files} files; "
                    "is it the directory that was built?"
                )
            suffix = PurePosixPath(name).suffix.lower()
            files[name] = StaticFile.of(body, CONTENT_TYPES.get(suffix, DEFAULT_TYPE))
        return cls(files)

    def get(self, name: str) -> StaticFile | None:
        """The file with this path below the root (forward slashes, decoded), or None."""
        return self._files.get(name)


def _regular_files(root: Path) -> Iterator[tuple[str, Path]]:
    try:
        real_root = root.resolve(strict=True)
    except OSError as error:
        raise ConfigError(f"{root} cannot be read: {error.strerror}") from error
    if not real_root.is_dir():
        raise ConfigError(f"{root} is not a directory")
    for folder, subfolders, names in os.walk(real_root):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in sorted(names):
            path = Path(folder, name)
            if name.startswith("."):
                continue
            try:
                real = path.resolve(strict=True)
                regular = stat.S_ISREG(real.stat().st_mode)
            except (OSError, RuntimeError):  # a dangling link; a loop of links
                regular = False
            if not regular or not real.is_relative_to(real_root):
                log.warn(  # noqa: G010  # Twisted's Logger has no warning()
                    "{path} is not served: no regular file inside {root}", path=str(path), root=str(root)
                )
                continue
            yield path.relative_to(real_root).as_posix(), real


def packaged_public() -> Path:
    """The pages that came with the package."""
    return Path(str(resources.files("stackviz_deployer"))) / "public"
