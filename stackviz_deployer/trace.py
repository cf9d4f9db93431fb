# SPDX-License-Identifier: Apache-2.0
"""Whose work is being done: the request and the task that a line in the log belongs to.

Context variables, because ``Deferred.fromCoroutine`` runs each step of a coroutine in the
context that it was begun in, whoever calls back.  Callbacks of timers, protocols and plain
Deferreds run in the reactor's context, which has neither; threads get theirs by ``carried``.
The observers of ``log`` put both into every event.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from typing import TypeVar

T = TypeVar("T")

REQUEST: ContextVar[str | None] = ContextVar("request", default=None)
"""Sixteen hexadecimal digits of our own; the answer's ``X-Request-Id``."""
TASK: ContextVar[str | None] = ContextVar("task", default=None)
"""The task's UUID."""


def new_request_id() -> str:
    """An id for a request.  What a client calls its own is never taken over: it could name another's."""
    return secrets.token_hex(8)


def carried(fn: Callable[..., T]) -> Callable[..., T]:
    """``fn`` for a thread (or for later), in the context of now."""
    context = copy_context()

    def run(*args: object, **kw: object) -> T:
        return context.run(fn, *args, **kw)

    return run
