# SPDX-License-Identifier: Apache-2.0
"""Waiting for work without owning it.

Klein cancels what a handler waits for when the client goes away.  Work that must come to
its end all the same (a task half created, a file open in a thread) is waited for through
an observer, which may be cancelled alone.
"""

from __future__ import annotations

from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from stackviz_deployer.errors import StackvizError

log = Logger()

T = TypeVar("T")


def observe(work: Deferred[T], what: str) -> Deferred[T]:
    """A Deferred with the result of ``work``, whose cancelling leaves ``work`` alone.

    A failure that comes when nobody waits any more is logged with ``what``.
    """
    observer: Deferred[T] = Deferred()

    def pass_on(result: T | Failure) -> None:
        if not observer.called:
            observer.callback(result)
        elif isinstance(result, Failure) and not result.check(StackvizError):
            log.failure("{what} failed after its client had gone", result, what=what)

    work.addBoth(pass_on)
    return observer
