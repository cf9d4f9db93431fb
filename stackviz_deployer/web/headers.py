# SPDX-License-Identifier: Apache-2.0
"""What stands on every answer, as bytes that were made once."""

from __future__ import annotations

from http.client import responses

import orjson
from twisted.web.http import datetimeToString

PAGE_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    b"worker-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; "
    b"require-trusted-types-for 'script'; trusted-types app"
)
RAW_POLICY = b"default-src 'none'; sandbox; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
"""Of what came from a stranger: shown in a browser after all, it is nobody's page and can do nothing."""
POLICY = b"Content-Security-Policy"
"""The one header of these that a resource may set for itself."""

_ALWAYS = (
    (b"X-Content-Type-Options", b"nosniff"),
    (b"Referrer-Policy", b"same-origin"),
    (
        b"Permissions-Policy",
        b"camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
    (b"Cross-Origin-Opener-Policy", b"same-origin"),
    (b"Cross-Origin-Embedder-Policy", b"require-corp"),
    (b"Cross-Origin-Resource-Policy", b"same-origin"),
    (b"X-Robots-Tag", b"noindex, nofollow"),
    (b"Server", b"stackviz-deployer"),
)
_ON_TLS = ((b"Strict-Transport-Security", b"max-age=31536000"),)


def standing(*, secure: bool, policy: bool) -> bytes:
    """The lines of these headers; ``policy``: also the pages' Content-Security-Policy."""
    lines = _ALWAYS + (_ON_TLS if secure else ()) + (((POLICY, PAGE_POLICY),) if policy else ())
    return b"".join(b"%s: %s\r\n" % line for line in lines)


def refusal(
    status: int,
    code: str,
    message: str,
    *,
    secure: bool,
    request_id: str,
    retry_after_s: int | None = None,
) -> bytes:
    """A whole answer for a connection that has no request (yet), and that is closed after it."""
    body = orjson.dumps({"error": code, "message": message})
    retry = b"" if retry_after_s is None else b"Retry-After: %d\r\n" % retry_after_s
    return b"".join(
        (
            b"HTTP/1.1 %d %s\r\n" % (status, responses[status].encode("ascii")),
            b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body),
            b"Cache-Control: no-store\r\nConnection: close\r\nDate: %s\r\n" % datetimeToString(),
            b"X-Request-Id: %s\r\n" % request_id.encode("ascii"),
            retry,
            standing(secure=secure, policy=True),
            b"\r\n",
            body,
        )
    )
