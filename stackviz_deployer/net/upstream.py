# SPDX-License-Identifier: Apache-2.0
"""What went wrong with another server, in words: exceptions of Twisted and OpenSSL to those of errors.py."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from attrs import frozen
from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet.error import ConnectError, ConnectingCancelledError, ConnectionClosed, DNSLookupError
from twisted.internet.error import TimeoutError as ConnectTimeoutError
from twisted.web._newclient import RequestNotSent
from twisted.web.client import (
    RequestGenerationFailed,
    RequestTransmissionFailed,
    ResponseFailed,
    ResponseNeverReceived,
)
from twisted.web.http import (
    PotentialDataLoss,
    _DataLoss,
)  # the reason inside ResponseFailed has no public name

from stackviz_deployer.errors import (
    OutOfFilesError,
    StackvizError,
    UpstreamInvalidError,
    UpstreamUnreachableError,
)

_WRAPPERS = (ResponseFailed, ResponseNeverReceived, RequestTransmissionFailed, RequestGenerationFailed)


@frozen
class Trouble:
    """A failed attempt: what to tell, and whether another try may help."""

    error: StackvizError
    transient: bool


def _reasons(error: BaseException, depth: int = 0) -> Iterator[BaseException]:
    """The exceptions inside Twisted's wrappers, innermost alone."""
    inner = getattr(error, "reasons", ()) if isinstance(error, _WRAPPERS) else ()
    if not inner or depth > 4:
        yield error
    for failure in inner:
        yield from _reasons(failure.value, depth + 1)


def _tls_words(error: SSL.Error) -> str:
    said = error.args[0] if error.args else ()
    words = ", ".join(str(entry[-1]) for entry in said) if isinstance(said, list) else str(said)
    return words or type(error).__name__


def _connect_words(error: ConnectError) -> str:
    """Twisted keeps the errno, or the OSError, apart from its text."""
    if isinstance(error.osError, OSError) and error.osError.strerror:
        return error.osError.strerror
    return str(error.args[0] if error.args and error.args[0] else error).rstrip(".")


def explain(error: BaseException, place: str, url: str) -> Trouble | None:
    """What ``error`` means, in words, for a request of ``url`` to the host ``place``.

    None when it is none of another server's.
    """
    if isinstance(error, UpstreamInvalidError):  # from agent.py, which does not know the host
        return Trouble(
            UpstreamInvalidError(f"{place} answered something that makes no sense: {error}."), transient=False
        )
    if isinstance(error, StackvizError):
        return Trouble(error, transient=False)
    if isinstance(error, PotentialDataLoss):
        return Trouble(
            UpstreamInvalidError(
                f"{place} closed the connection without saying how long its answer for {url} is; "
                "part may be missing."
            ),
            transient=False,
        )
    reasons = list(_reasons(error))
    for reason in reasons:
        if isinstance(reason, StackvizError):
            return explain(reason, place, url)
        if isinstance(reason, VerificationError):
            return Trouble(
                UpstreamUnreachableError(f"The certificate of {place} is for another name."), transient=False
            )
        if isinstance(reason, SSL.Error):
            return Trouble(
                UpstreamUnreachableError(f"TLS with {place} failed: {_tls_words(reason)}."), transient=False
            )
    for reason in reasons:
        if isinstance(reason, DNSLookupError):
            return Trouble(UpstreamUnreachableError(f"The host {place} is not known (DNS)."), transient=False)
        if isinstance(reason, (ConnectTimeoutError, ConnectingCancelledError)):
            return Trouble(
                UpstreamUnreachableError(f"{place} does not answer (connection timed out)."), transient=True
            )
        if isinstance(reason, ConnectError) and OutOfFilesError.fits(reason.osError):
            return Trouble(OutOfFilesError(f"a connection to {place}"), transient=True)
        if isinstance(reason, ConnectError):
            return Trouble(
                UpstreamUnreachableError(f"{place} cannot be reached: {_connect_words(reason)}."),
                transient=True,
            )
    if all(isinstance(reason, (ConnectionClosed, _DataLoss, RequestNotSent)) for reason in reasons):
        return Trouble(
            UpstreamUnreachableError(f"{place} closed the connection in the middle of its answer for {url}."),
            transient=True,
        )
    if isinstance(error, _WRAPPERS):  # what is left inside them comes from the HTTP parser
        what = "; ".join(dict.fromkeys(f"{type(reason).__name__}: {reason}"[:200] for reason in reasons))
        return Trouble(
            UpstreamInvalidError(f"{place} does not speak HTTP as it should ({what})."), transient=False
        )
    return None


def retry_after_s(value: str | None, now: float) -> float | None:
    """The seconds that a Retry-After header (seconds or an HTTP date) asks for; None without a usable one."""
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        when = parsedate_to_datetime(value)
    except (ValueError, IndexError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    try:
        return max(0.0, when.timestamp() - datetime.fromtimestamp(now, tz=UTC).timestamp())
    except (OverflowError, ValueError):
        return None
