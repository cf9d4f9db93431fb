# SPDX-License-Identifier: Apache-2.0
"""``/health``: for the operator and whatever watches the daemon."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Any

from klein import Klein
from twisted.python.failure import Failure
from twisted.web.server import Request

from stackviz_deployer.web.documents import answer
from stackviz_deployer.web.errors import fail

Probe = Callable[[], Mapping[str, Any]]
"""Facts as JSON values, at once and without waiting.

A non-empty ``reasons`` (sentences) means degraded; so does ``notes``, of what does not keep requests from
being served, nor work from being taken.
"""


_FORWARDED = (b"X-Forwarded-For", b"Forwarded", b"Via")


def _from_here(request: Request) -> bool:
    """Over the loopback or a Unix socket, and not for somebody else as far as can be seen."""
    if any(request.requestHeaders.hasHeader(name) for name in _FORWARDED):
        return False
    host = getattr(request.getClientAddress(), "host", None)
    if host is None:
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


class Health:
    """``/health`` says everything, ``/health/ready`` whether work is taken, ``/health/live`` only "I run".

    Reasons name paths, and numbers tell who would wear us down how far that is: they are for who asks from
    this machine.  Everybody else gets the status alone.
    """

    app = Klein()
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False

    def __init__(self, *, version: str, probe: Probe) -> None:
        self._version = version
        self._probe = probe

    @app.handle_errors(Exception)  # type: ignore[arg-type]  # Klein means IRequest; ours are Requests
    def failed(self, request: Request, failure: Failure) -> bytes:
        return fail(request, failure)

    @app.route("/health", methods=["GET"])
    def health(self, request: Request) -> bytes:
        return self._report(request, dict(self._probe()), version=self._version)

    @app.route("/health/ready", methods=["GET"])
    def ready(self, request: Request) -> bytes:
        return self._report(request, {"reasons": self._probe().get("reasons", ())})

    @app.route("/health/live", methods=["GET"])
    def live(self, request: Request) -> bytes:
        return answer(request, {"status": "ok"})

    def _report(self, request: Request, facts: dict[str, Any], **more: str) -> bytes:
        reasons = [str(reason) for key in ("reasons", "notes") for reason in facts.pop(key, ())]
        report: dict[str, Any] = {"status": "degraded" if reasons else "ok"}
        if _from_here(request):
            report |= {"reasons": reasons, **more, **facts}
        return answer(request, report, 503 if reasons else 200)
