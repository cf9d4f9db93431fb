# SPDX-License-Identifier: Apache-2.0
"""How often a client may ask for what is costly: a token bucket for each call and client."""

from __future__ import annotations

import math
from collections import OrderedDict

from twisted.internet.interfaces import IReactorTime
from twisted.web.http import Request

from stackviz_deployer.errors import RateLimitedError
from stackviz_deployer.interfaces import Meters
from stackviz_deployer.settings import Rates
from stackviz_deployer.web.clients import Clients

MAX_CLIENTS = 10_000
"""Buckets kept for each call.  Who was away longest is forgotten first, and starts with a full one."""

_WHAT = {
    "list": ("rates.list", "look-ups"),
    "scrape": ("rates.scrape", "scrapes"),
    "upload": ("rates.upload", "uploads"),
}


class Throttle:
    """``rates`` a minute, with bursts of as many."""

    def __init__(self, rates: Rates, *, clients: Clients, clock: IReactorTime, meters: Meters) -> None:
        self._rates = {"list": rates.list, "scrape": rates.scrape, "upload": rates.upload}
        self._clients = clients
        self._clock = clock
        self._meters = meters
        # The time at which a client's bucket is full again: all that there is to know of it.
        self._full_at: dict[str, OrderedDict[str, float]] = {call: OrderedDict() for call in self._rates}

    def take(self, call: str, request: Request) -> None:
        """Count one ``call`` (a key of ``rates``) of this request's client.  Raises RateLimitedError."""
        rate = self._rates[call]
        if not rate:
            return
        client = self._clients.of(request)
        now = self._clock.seconds()
        known = self._full_at[call]
        each_s = 60 / rate
        full_at = max(known.get(client, now), now) + each_s
        over_s = full_at - now - 60
        if over_s > 1e-6:  # a bucket of as many as a minute brings
            limit, what = _WHAT[call]
            self._meters.count("limit_hits", limit=limit)
            raise RateLimitedError(
                f"Your address has asked for more {what} than the {rate} a minute that it may.",
                retry_after_s=math.ceil(over_s),
            )
        known[client] = full_at
        known.move_to_end(client)
        if len(known) > MAX_CLIENTS:
            known.popitem(last=False)
