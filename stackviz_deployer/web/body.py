# SPDX-License-Identifier: Apache-2.0
"""Reading what a client posted: the only place where a request's JSON is looked at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import orjson
from twisted.web.server import Request

from stackviz_deployer.errors import ForeignOriginError, InvalidRequestError, UnsupportedMediaTypeError

MAX_TEXT = 4096
"""Characters of a query; the longest sensible one is a URL."""


def read_object(request: Request) -> dict[str, Any]:
    """The JSON object that was posted.

    Raises ForeignOriginError (another site's page sent it), UnsupportedMediaTypeError and
    InvalidRequestError.  The body's size is limited by ``web.site``.
    """
    refuse_foreign(request)
    _require_json(request)
    try:
        data = orjson.loads(request.content.read() if request.content else b"")
    except orjson.JSONDecodeError as error:
        raise InvalidRequestError(f"the request's body is not JSON: {error}") from None
    if not isinstance(data, dict):
        raise InvalidRequestError('the request\'s body must be a JSON object, such as {"q": "271726"}')
    return data


def header(request: Request, name: str) -> str | None:
    """The header's last value, whatever bytes it has (Twisted's own raises for what is not UTF-8)."""
    values = request.requestHeaders.getRawHeaders(name.encode("ascii"))
    return values[-1].decode("latin-1") if values else None


def refuse_foreign(request: Request) -> None:
    """Raise ForeignOriginError when the browser says that another site's page asks."""
    allowed_origin: Callable[[], bytes | None] | None = getattr(request, "allowed_origin", None)
    if allowed_origin is not None and allowed_origin() is not None:
        return
    if header(request, "Sec-Fetch-Site") in ("cross-site", "same-site"):
        raise ForeignOriginError("this request came from a page of another site; use the pages of this one")
    origin = header(request, "Origin")
    if origin is None:
        return
    # The scheme is left out: behind a proxy that ends TLS it is not ours.
    try:
        parts = urlsplit(origin)
        default = {"http": 80, "https": 443}.get(parts.scheme)
        theirs = (parts.hostname, parts.port or default)
        ours_parts = urlsplit(f"//{header(request, 'Host') or ''}")
        ours = (ours_parts.hostname, ours_parts.port or default)
    except ValueError:
        theirs, ours = (None, None), (None, None)
    if theirs[0] is None or theirs != ours:
        raise ForeignOriginError(
            "this request came from a page of another site (its Origin is not this server's Host); "
            "a proxy in front of this server must pass the Host header on"
        )


def _require_json(request: Request) -> None:
    media_type, *parameters = (header(request, "Content-Type") or "").split(";")
    charsets = [
        value.strip().strip('"').lower()
        for name, _, value in (parameter.partition("=") for parameter in parameters)
        if name.strip().lower() == "charset"
    ]
    if media_type.strip().lower() != "application/json" or any(c not in ("utf-8", "utf8") for c in charsets):
        raise UnsupportedMediaTypeError(
            "post JSON in UTF-8, with the header Content-Type: application/json "
            "(curl -H 'Content-Type: application/json' -d '{\"q\": \"271726\"}')"
        )


def text(data: dict[str, Any], name: str) -> str:
    """The member ``name`` as text; a whole number is taken for its digits (HTTPie's ``q:=271726``)."""
    if name not in data:
        raise InvalidRequestError(f'"{name}" is missing')
    value = data[name]
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise InvalidRequestError(f'"{name}" must be a string')
    value = value.strip()
    if not value:
        raise InvalidRequestError(f'"{name}" is empty')
    if len(value) > MAX_TEXT:
        raise InvalidRequestError(f'"{name}" is longer than {MAX_TEXT} characters')
    return value


def flag(data: dict[str, Any], name: str) -> bool:
    """The member ``name`` as true or false; false when it is absent or null."""
    value = data.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise InvalidRequestError(f'"{name}" must be true or false')
    return value
