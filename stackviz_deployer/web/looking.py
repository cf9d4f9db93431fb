# SPDX-License-Identifier: Apache-2.0
"""A look-up told while it goes on: JSON lines, each with all that is known."""

from __future__ import annotations

from typing import Any

import orjson
from twisted.internet.interfaces import IReactorTime
from twisted.web.server import Request

from stackviz_deployer.errors import StackvizError
from stackviz_deployer.interfaces import Lookup
from stackviz_deployer.model import Answer
from stackviz_deployer.web.documents import listing
from stackviz_deployer.web.errors import described
from stackviz_deployer.web.stream import NewestStream

LINES = "application/x-ndjson"


async def tell_look_up(request: Request, lookup: Lookup, q: str, clock: IReactorTime) -> None:
    """Answer ``request`` with lines: who is asked, what is known so far, and last the answer.

    A client that goes ends the look-up.  An error before the first line is an ordinary answer (it is
    raised); one after it is the last line, ``{"error", "message", "status"}``.
    """
    stream = NewestStream(request, clock)
    stream.head(LINES.encode("ascii"))

    def tell(part: Answer) -> None:
        stream.push(lambda: _line(listing(part)))
        stream.start()

    try:
        try:
            answer = await lookup.find(q, tell)
        except StackvizError as error:
            if not stream.started:
                raise
            status, data = described(request, error)
            last = {**data, "status": status}
        else:
            last = listing(answer)
        stream.push(lambda: _line(last), last=True)
        stream.start()
        await stream.done
    finally:
        stream.close()


def _line(data: dict[str, Any]) -> bytes:
    return orjson.dumps(data, option=orjson.OPT_APPEND_NEWLINE)
