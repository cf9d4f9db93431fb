# SPDX-License-Identifier: Apache-2.0
"""How many requests all nodes together make of one host.

Each node limits itself; this is the same limit once more, for all.  A slot is a lease in Redis, by
Redis' own clock, which its node renews: those of a node that died come free by themselves.  Who waits
is served in the order of asking, whichever node it is on.  Without Redis a node's own limit is all.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from attrs import frozen
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger

from stackviz_deployer.background import Background
from stackviz_deployer.cluster.link import TIMEOUT_S, Link, LinkError
from stackviz_deployer.cluster.scripts import Script
from stackviz_deployer.settings import RedisServer

log = Logger()

END_S = 2.0
"""At stop: for slots to be given back."""


@frozen(kw_only=True)
class SlotTimes:
    """In seconds."""

    lease: float = 15.0
    """For which a slot that is not renewed is held."""
    renew: float = 5.0
    ask: float = 0.2
    """The longest pause before who waits asks again; less by chance, a half at most."""
    timeout: float = TIMEOUT_S


TAKE = Script("""
-- KEYS: held, waiting, asked.  ARGV: token, most, ms of a lease, ms after which who does not ask is gone.
-- 1 when the token has a slot.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now - ARGV[4])) do
  redis.call('ZREM', KEYS[2], gone)
  redis.call('ZREM', KEYS[3], gone)
end
redis.call('ZADD', KEYS[2], 'NX', now, ARGV[1])
redis.call('ZADD', KEYS[3], now, ARGV[1])
local taken = 0
if redis.call('ZRANK', KEYS[2], ARGV[1]) < ARGV[2] - redis.call('ZCARD', KEYS[1]) then
  redis.call('ZREM', KEYS[2], ARGV[1])
  redis.call('ZREM', KEYS[3], ARGV[1])
  redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
  taken = 1
end
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, 2 * ARGV[3]) end
return taken
""")

RENEW = Script("""
-- KEYS: held.  ARGV: ms of a lease, tokens.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for n = 2, #ARGV do redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[n]) end
redis.call('PEXPIRE', KEYS[1], 2 * ARGV[1])
return 1
""")

FREE = Script("""
-- KEYS: held, waiting, asked.  ARGV: token.
for _, key in ipairs(KEYS) do redis.call('ZREM', key, ARGV[1]) end
return 1
""")


class SharedSlots(Service):
    """interfaces.HostSlots over Redis."""

    def __init__(
        self,
        server: RedisServer,
        reactor: Any,
        *,
        node: str,
        times: SlotTimes | None = None,
    ) -> None:
        self._clock: IReactorTime = reactor
        self._times = times or SlotTimes()
        self._prefix = f"{server.prefix}slots:"
        self._link = Link(server, reactor, name=f"{node}:slots", timeout_s=self._times.timeout)
        self._held: dict[str, set[str]] = {}
        """Tokens, by places."""
        self._background = Background()
        self._loop = LoopingCall(lambda: Deferred.fromCoroutine(self._renew()))
        self._loop.clock = self._clock

    def startService(self) -> None:
        """Connect, and go on until stopped; Redis may be there or not."""
        super().startService()
        self._link.startService()
        self._loop.start(self._times.renew, now=False).addErrback(_failed)

    def stopService(self) -> Deferred[None]:
        """Fires when what was given back is told, or END_S are over."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._loop.stop()
        await self._background.end(self._clock, END_S)
        await self._link.stopService()

    @asynccontextmanager
    async def held(self, place: str, most: int) -> AsyncIterator[None]:
        """See interfaces.HostSlots."""
        token = secrets.token_hex(8)
        try:
            if await self._take(place, token, most):
                self._held.setdefault(place, set()).add(token)
            yield
        finally:
            tokens = self._held.get(place, set())
            tokens.discard(token)
            if not tokens:
                self._held.pop(place, None)
            if self._link.up:
                self._background.spawn(self._free(place, token), f"giving back a slot of {place}")

    async def _take(self, place: str, token: str, most: int) -> bool:
        """Wait for a slot; False without Redis."""
        lease_ms = int(self._times.lease * 1000)
        gone_ms = int(self._times.ask * 10_000)
        while self._link.up:
            try:
                if await TAKE.run(self._link, self._keys(place), token, most, lease_ms, gone_ms) == 1:
                    return True
            except LinkError:
                return False
            await deferLater(self._clock, self._times.ask * random.uniform(0.5, 1))  # noqa: S311 - no secret
        return False

    async def _free(self, place: str, token: str) -> None:
        with suppress(LinkError):  # then the lease ends by itself
            await FREE.run(self._link, self._keys(place), token)

    async def _renew(self) -> None:
        for place, tokens in list(self._held.items()):
            if not self._link.up:
                break
            with suppress(LinkError):
                await RENEW.run(
                    self._link, self._keys(place)[:1], int(self._times.lease * 1000), *sorted(tokens)
                )

    def _keys(self, place: str) -> tuple[str, ...]:
        return tuple(f"{self._prefix}{kind}:{place}" for kind in ("held", "waiting", "asked"))


def _failed(failure: Any) -> None:
    log.failure("renewing the slots of hosts", failure=failure)
