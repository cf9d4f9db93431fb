# SPDX-License-Identifier: Apache-2.0
"""What a request's headers ask of an answer: its encoding, and whether the client has it already."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.web.server import Request


def accepts_gzip(request: Request) -> bool:
    """Whether the client named gzip (or ``*``) with a weight above zero.

    Without the header we send plain bytes: the clients that leave it out (curl, http.client)
    do not inflate.
    """
    return gzip_in(request.requestHeaders.getRawHeaders(b"Accept-Encoding", []))


def gzip_in(lines: Sequence[bytes]) -> bool:
    """The same of the header's values."""
    weights = _weights(lines)
    for coding in (b"gzip", b"x-gzip", b"*"):
        if coding in weights:
            return weights[coding] > 0
    return False


def accepts(request: Request, media_type: str) -> bool:
    """Whether the client named this media type, with a weight above zero; wildcards do not name it."""
    return (
        _weights(request.requestHeaders.getRawHeaders(b"Accept", [])).get(media_type.encode("ascii"), 0.0) > 0
    )


def _weights(lines: Sequence[bytes]) -> dict[bytes, float]:
    """What a header's values list, each with its weight."""
    weights: dict[bytes, float] = {}
    for line in lines:
        for item in line.split(b","):
            what, *parameters = item.split(b";")
            weights[what.strip().lower()] = _weight(parameters)
    return weights


def _weight(parameters: list[bytes]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition(b"=")
        if name.strip().lower() == b"q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


def not_modified(request: Request, etag: bytes) -> bool:
    """Set the ETag, and the status 304 (True) when the client's ``If-None-Match`` names it."""
    request.setHeader(b"ETag", etag)
    if names_tag(request.requestHeaders.getRawHeaders(b"If-None-Match", []), etag):
        request.setResponseCode(304)
        return True
    return False


def names_tag(lines: Sequence[bytes], etag: bytes) -> bool:
    """Whether values of ``If-None-Match`` name it."""
    for line in lines:
        for tag in line.split(b","):
            # If-None-Match compares weakly (RFC 9110, 13.1.2)
            if tag.strip().removeprefix(b"W/") in (etag, b"*"):
                return True
    return False
