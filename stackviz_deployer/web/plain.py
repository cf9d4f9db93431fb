# SPDX-License-Identifier: Apache-2.0
"""Requests so plain that whoever sends one gets what the one before got: read without ceremony.

Plain is a whole head in one piece, and no body: ``GET`` of a path, HTTP/1.1, and header fields that are
known to change nothing, or that are looked at here.  Everything else goes the ordinary way, and so does
the first of the plain ones (see kept.py): nothing is decided here but which requests are alike.
"""

from __future__ import annotations

import re
from functools import lru_cache

from attrs import frozen

from stackviz_deployer.web.negotiate import gzip_in, names_tag

MAX_PLAIN = 4096
"""Bytes of a head; longer ones are taken for unusual."""
_FIELDS_KEPT = 256
"""Heads of browsers differ in few ways: what was read of so many of them is remembered (1 MiB at most)."""

_HEAD = re.compile(rb"GET (/[!-\"$->@-~]*) HTTP/1\.1\r\n((?:[A-Za-z0-9-]+:[ -~]*\r\n)+)\r\n")
_FIELD = re.compile(rb"([A-Za-z0-9-]+):([ -~]*)\r\n")

# No answer to a GET of what can be kept depends on these.  Only what is listed is plain: a field that
# comes to mean something one day must not be overlooked here.
_WITHOUT_MEANING = frozenset(
    b"accept accept-language cache-control cookie device-memory dnt downlink dpr ect forwarded from pragma"
    b" priority referer rtt save-data sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform sec-fetch-dest"
    b" sec-fetch-mode sec-fetch-user sec-gpc upgrade-insecure-requests user-agent via x-forwarded-for"
    b" x-forwarded-host x-forwarded-port x-forwarded-proto x-real-ip".split()
)
_OWN_PAGES = (b"same-origin", b"none")


@frozen
class Plain:
    """What a plain request's header fields say."""

    host: bytes
    as_gzip: bool
    has: bytes | None
    """If-None-Match."""

    def has_already(self, etag: bytes) -> bool:
        """Whether the client holds the content with this ETag."""
        return self.has is not None and names_tag([self.has], etag)


def read(data: bytes) -> tuple[bytes, Plain] | None:
    """The path of a plain request and what it asks, if ``data`` is one and nothing else."""
    if len(data) > MAX_PLAIN:
        return None
    head = _HEAD.fullmatch(data)
    if head is None:
        return None
    plain = _read_fields(head[2])
    return None if plain is None else (head[1], plain)


@lru_cache(maxsize=_FIELDS_KEPT)
def _read_fields(fields: bytes) -> Plain | None:
    said: dict[bytes, bytes] = {}
    for spelled, value in _FIELD.findall(fields):
        name = spelled.lower()
        if name in said:
            return None
        said[name] = value.strip()
    host = said.pop(b"host", None)
    coding = said.pop(b"accept-encoding", None)
    has = said.pop(b"if-none-match", None)
    if (
        host is None
        or said.pop(b"connection", b"keep-alive").lower() != b"keep-alive"
        or said.pop(b"sec-fetch-site", b"none") not in _OWN_PAGES
        or not said.keys() <= _WITHOUT_MEANING
    ):
        return None
    return Plain(host, gzip_in([] if coding is None else [coding]), has)
