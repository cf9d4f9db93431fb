# SPDX-License-Identifier: Apache-2.0
"""The one place where an exception becomes an HTTP answer: its status, its JSON, its log line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import Request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from stackviz_deployer import errors

log = Logger()

STATUSES: dict[type[errors.StackvizError], int] = {
    errors.StackvizError: 500,
    errors.ConfigError: 500,
    errors.WorkerDiedError: 500,
    errors.InvalidRequestError: 400,
    errors.QueryNotUnderstoodError: 400,
    errors.UnauthorizedError: 401,
    errors.ForeignOriginError: 403,
    errors.CancelRefusedError: 403,
    errors.NotFoundError: 404,
    errors.TaskNotReadyError: 409,
    errors.TaskExpiredError: 410,
    errors.DataLostError: 410,
    errors.RequestTooLargeError: 413,
    errors.UnsupportedMediaTypeError: 415,
    errors.HostUnknownError: 421,
    errors.AddressRefusedError: 422,
    errors.HostNotAllowedError: 422,
    errors.NoArtifactsError: 422,
    errors.NotScrapableError: 422,
    errors.TaskFailedError: 422,
    errors.RateLimitedError: 429,
    errors.TooManyAttemptsError: 429,
    # what a look-up fetched and could not use: another server's fault, not the client's
    errors.ParseError: 502,
    errors.TooLargeError: 502,
    errors.UpstreamInvalidError: 502,
    errors.InternalError: 500,
    errors.UpstreamStatusError: 502,
    errors.UpstreamUnreachableError: 502,
    errors.QueueFullError: 503,
    errors.StoreError: 503,
    errors.TooManyStreamsError: 503,
    errors.TooManyUploadsError: 503,
    errors.TaskTimeoutError: 504,
    errors.UpstreamTimeoutError: 504,
}

INTERNAL = errors.InternalError.code
INTERNAL_MESSAGE = "something went wrong in the server; its log says what"

# said of the answer that was about to be given, not of the error
_OF_THE_BODY = (
    b"Cache-Control",
    b"Content-Disposition",
    b"Content-Encoding",
    b"Content-Length",
    b"ETag",
    b"Last-Modified",
    b"Location",
    b"Vary",
    b"X-Accel-Buffering",
)


def status_of(error: errors.StackvizError) -> int:
    """The HTTP status of this error, by its nearest class in the table."""
    return next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)


def fail(request: Request, error: BaseException | Failure) -> bytes:
    """Set status and headers for ``error``, log it, and return the JSON body.

    Shape: ``{"error": code, "message": what is wrong and what to do}``.
    """
    status, data = described(request, error)
    return write_error(request, status, b"application/json", orjson.dumps(data))


def described(request: Request, error: BaseException | Failure) -> tuple[int, dict[str, str]]:
    """The status and the JSON of ``error``, which is logged."""
    status, code, message = _in_own_context(request, error)
    return status, {"error": code, "message": message}


def fail_page(request: Request, error: BaseException | Failure) -> bytes:
    """The same in plain text, for addresses that people open in a browser."""
    status, _, message = _in_own_context(request, error)
    return write_error(request, status, b"text/plain; charset=utf-8", f"{message}\n".encode())


def write_error(request: Request, status: int, content_type: bytes, body: bytes) -> bytes:
    """Make the answer an error with this body, whatever had been prepared; returns the body (HEAD: none)."""
    if request.startedWriting:
        cut(request)
        return b""
    for name in _OF_THE_BODY:
        request.responseHeaders.removeHeader(name)
    request.setResponseCode(status)
    request.setHeader(b"Content-Type", content_type)
    request.setHeader(b"Cache-Control", b"no-store")
    request.setHeader(b"Content-Length", b"%d" % len(body))
    return b"" if request.method == b"HEAD" else body


def cut(request: Request) -> None:
    """Drop the connection, so that the client does not take a part of a body for the whole."""
    transport: Any = request.transport
    transport.abortConnection()


def _in_own_context(request: Request, error: BaseException | Failure) -> tuple[int, str, str]:
    """In the request's own context, if it has one: Klein calls back in the reactor's (see trace.py)."""
    as_own: Callable[..., tuple[int, str, str]] | None = getattr(request, "as_own", None)
    return _describe(request, error) if as_own is None else as_own(_describe, request, error)


def _describe(request: Request, error: BaseException | Failure) -> tuple[int, str, str]:
    failure = error if isinstance(error, Failure) else Failure(error)
    value = failure.value
    if isinstance(value, errors.StackvizError):
        status = status_of(value)
        retry_after_s: int | None = getattr(value, "retry_after_s", None)
        if retry_after_s is not None:
            request.setHeader(b"Retry-After", b"%d" % retry_after_s)
        if isinstance(value, errors.StoreError):
            # its message is for the operator: it names paths
            _log_failure(request, failure)
            return status, value.code, f"{value.reason}; try again later"
        if status >= 500:
            log.warn(  # noqa: G010  # Twisted's Logger has no warning()
                "{method} {path} answered {status}: {code}: {said}",
                method=_shown(request.method),
                path=_shown(request.path),
                status=status,
                code=value.code,
                said=value.message,  # Twisted's legacy observers empty an event's "message"
            )
        return status, value.code, value.message
    if isinstance(value, MethodNotAllowed):
        allowed = ", ".join(sorted(value.valid_methods or ()))
        request.setHeader(b"Allow", allowed.encode("ascii"))
        return 405, "method-not-allowed", f"this address takes {allowed}"
    if isinstance(value, HTTPException):
        # Klein's own: no such route, or one that differs by a slash
        return 404, "not-found", "there is nothing at this address; GET /api/openapi.json lists what there is"
    _log_failure(request, failure)
    return 500, INTERNAL, INTERNAL_MESSAGE


def _log_failure(request: Request, failure: Failure) -> None:
    log.failure("{method} {path} failed", failure, method=_shown(request.method), path=_shown(request.path))


def _shown(what: bytes) -> str:
    return what.decode("ascii", "backslashreplace")
