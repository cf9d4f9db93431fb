# SPDX-License-Identifier: Apache-2.0
"""``/api/admin/``: the operator's calls, behind a token.  Without one these addresses do not exist."""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict

from klein import Klein
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import Request

from stackviz_deployer.errors import InvalidRequestError, TooManyAttemptsError, UnauthorizedError
from stackviz_deployer.interfaces import Admin, Meters, NoMeters
from stackviz_deployer.model import TaskState
from stackviz_deployer.web import documents
from stackviz_deployer.web.api import task_id_of
from stackviz_deployer.web.body import header, refuse_foreign
from stackviz_deployer.web.clients import Clients
from stackviz_deployer.web.errors import fail
from stackviz_deployer.web.observe import observe

log = Logger()

ATTEMPTS = 10
"""Wrong tokens of one client in ATTEMPTS_S; then it is refused for as long, whatever it sends."""
ATTEMPTS_S = 60.0
MAX_CLIENTS = 1024
"""Whose attempts are remembered."""
MOST = 200
"""Tasks of one page."""


class Attempts:
    """Wrong tokens by client, the last ones of at most MAX_CLIENTS."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._wrong: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def refuse(self, client: str) -> None:
        """Raise TooManyAttemptsError when this client tried too often."""
        since_s, count = self._wrong.get(client, (0.0, 0))
        if count >= ATTEMPTS and self._clock.seconds() - since_s < ATTEMPTS_S:
            raise TooManyAttemptsError("too many wrong tokens; wait a minute")

    def wrong(self, client: str) -> None:
        """One more."""
        now_s = self._clock.seconds()
        since_s, count = self._wrong.pop(client, (now_s, 0))
        if now_s - since_s >= ATTEMPTS_S:
            since_s, count = now_s, 0
        self._wrong[client] = (now_s if count + 1 == ATTEMPTS else since_s, count + 1)
        if len(self._wrong) > MAX_CLIENTS:
            self._wrong.popitem(last=False)


class AdminApi:
    """Everything under ``/api/admin``."""

    app = Klein()
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False

    def __init__(
        self,
        *,
        admin: Admin,
        token: str,
        clients: Clients,
        clock: IReactorTime,
        meters: Meters | None = None,
    ) -> None:
        self._meters = meters or NoMeters()
        self._admin = admin
        self._token = _digest(token.encode("utf-8"))
        self._attempts = Attempts(clock)
        self._clients = clients

    @app.handle_errors(Exception)  # type: ignore[arg-type]  # Klein means IRequest; ours are Requests
    def failed(self, request: Request, failure: Failure) -> bytes:
        return fail(request, failure)

    @app.route("/tasks", methods=["GET"])
    async def tasks(self, request: Request) -> bytes:
        self._authorise(request)
        found = await self._admin.listed(
            state=_state(request), before=_number(request, b"before"), most=_most(request)
        )
        return documents.answer(request, {"tasks": [documents.kept(one) for one in found]})

    @app.route("/tasks/<task_id>", methods=["DELETE"])
    async def delete(self, request: Request, task_id: str) -> bytes:
        self._authorise(request)
        work = Deferred.fromCoroutine(self._admin.delete(task_id_of(task_id)))
        await observe(work, "deleting a task")
        return documents.answer(request, {"deleted": task_id})

    @app.route("/tasks/<task_id>/pin", methods=["PUT"])
    async def pin(self, request: Request, task_id: str) -> bytes:
        return await self._pin(request, task_id, pinned=True)

    @app.route("/tasks/<task_id>/pin", methods=["DELETE"])
    async def unpin(self, request: Request, task_id: str) -> bytes:
        return await self._pin(request, task_id, pinned=False)

    async def _pin(self, request: Request, task_id: str, *, pinned: bool) -> bytes:
        self._authorise(request)
        work = Deferred.fromCoroutine(self._admin.pin(task_id_of(task_id), pinned=pinned))
        return documents.answer(request, documents.kept(await observe(work, "pinning a task")))

    def _authorise(self, request: Request) -> None:
        """Raises UnauthorizedError, TooManyAttemptsError, ForeignOriginError."""
        refuse_foreign(request)
        client = self._clients.of(request)
        try:
            self._attempts.refuse(client)
        except TooManyAttemptsError:
            self._meters.count("limit_hits", limit="admin_attempts")
            raise
        scheme, _, given = (header(request, "Authorization") or "").partition(" ")
        same = hmac.compare_digest(_digest(given.strip().encode("latin-1")), self._token)
        if scheme.lower() == "bearer" and same:
            return
        request.setHeader(b"WWW-Authenticate", b'Bearer realm="stackviz-deployer"')
        if given:  # to ask without one is no guess
            self._attempts.wrong(client)
            log.warn("a wrong admin token from {client}", client=client)  # noqa: G010 - Twisted's Logger
        raise UnauthorizedError("send the administrator's token: Authorization: Bearer <token>")


def _digest(token: bytes) -> bytes:
    """Of equal length for all, so that a comparison tells nothing of it."""
    return hashlib.sha256(token).digest()


def _argument(request: Request, name: bytes) -> str | None:
    values = (request.args or {}).get(name)
    return values[-1].decode("utf-8", "replace") if values else None


def _state(request: Request) -> TaskState | None:
    text = _argument(request, b"state")
    if text is None:
        return None
    try:
        return TaskState(text)
    except ValueError:
        states = ", ".join(state.value for state in TaskState)
        raise InvalidRequestError(f'"state" is one of {states}') from None


def _number(request: Request, name: bytes) -> int | None:
    text = _argument(request, name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise InvalidRequestError(f'"{name.decode()}" is a whole number')
    return int(text)


def _most(request: Request) -> int:
    most = _number(request, b"most")
    if most is None:
        return MOST
    if not 1 <= most <= MOST:
        raise InvalidRequestError(f'"most" is a number from 1 to {MOST}')
    return most
