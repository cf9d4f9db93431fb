# SPDX-License-Identifier: Apache-2.0
"""The one way to other servers (and to the sample job): allow-list, guard, deadline, bounds, retries."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import urljoin

from attrs import define, frozen
from twisted.internet.defer import Deferred, DeferredSemaphore, execute
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool
from twisted.web.client import BrowserLikePolicyForHTTPS
from twisted.web.http_headers import Headers

from stackviz_deployer import __version__
from stackviz_deployer.errors import (
    QueryNotUnderstoodError,
    StackvizError,
    TooLargeError,
    UpstreamInvalidError,
    UpstreamStatusError,
    UpstreamTimeoutError,
)
from stackviz_deployer.interfaces import HostSlots, InThread, Meters, NoMeters
from stackviz_deployer.model import Fetched
from stackviz_deployer.net.agent import CheckedURL, connection_pool, raw_client
from stackviz_deployer.net.body import MAX_DRAIN, Answer, Drain, Dropper, FileSink
from stackviz_deployer.net.guard import AddressGuard, GuardedEndpoints, Overrides
from stackviz_deployer.net.hosts import MAX_URL, AllowedHosts, Target, parse_url
from stackviz_deployer.net.sample import SCHEME as SAMPLE
from stackviz_deployer.net.sample import SampleFiles, segments
from stackviz_deployer.net.upstream import explain, retry_after_s

log = Logger()
T = TypeVar("T")

USER_AGENT = f"stackviz-deployer/{__version__}"
MAX_REDIRECTS = 3
BACKOFF_S = (0.25, 1.0)
"""Pauses before the second and the third attempt, where the server asks for none."""
CONNECT_TIMEOUT_S = 10.0
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TRANSIENT = frozenset({429, 500, 502, 503, 504})
_WRITERS = 2
_DRAIN_S = 2.0
_CLOSE_S = 2.0


@define
class _Errand:
    """One call of fetch."""

    into: Path
    max_bytes: int
    accept: str
    on_bytes: Callable[[int], None] | None
    deadline: float
    meters: Meters
    ended: bool = False
    """Cancelled, or out of time: nothing new is begun."""
    waiting_for: str = ""
    """The host, for the message when time runs out."""
    told: int = 0

    def tell(self, count: int) -> None:
        """A chunk came."""
        self.told += count
        if count > 0:
            self.meters.count("fetched_bytes", count)
        if self.on_bytes is not None:
            self.on_bytes(count)

    def take_back(self) -> None:
        """What came so far is to be fetched anew."""
        if self.told:
            self.tell(-self.told)


@frozen
class _Redirect:
    location: str


class _TryAgainError(Exception):
    """An attempt failed in a way that may pass."""

    def __init__(self, error: StackvizError, after_s: float | None = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.after_s = after_s


class HttpFetcher:
    """interfaces.Fetcher over treq and an Agent that goes through the guard.

    ``allowed`` are ``host[:port]`` patterns, ``private_networks`` CIDRs, ``resolve`` maps
    ``host[:port]`` to ``address[:port]`` instead of DNS; ``slots`` is how many requests one host
    gets at a time, from this process and, with ``shared_slots``, from all nodes together; ``is_own``
    tells the addresses and ports at which this process listens, which are never asked;
    ``sample_root`` holds the sample jobs.  ``trust`` is a Twisted trust root in place of the
    system's certificates.  Raises ConfigError.  ``client`` (treq's interface) and
    ``run_in_thread`` are for tests of the logic above them.
    """

    def __init__(
        self,
        reactor: Any,
        *,
        allowed: Iterable[str],
        private_networks: Iterable[str] = (),
        resolve: Mapping[str, str] | None = None,
        slots: int = 6,
        is_own: Callable[[str, int], bool] | None = None,
        sample_root: Path | None = None,
        trust: Any = None,
        client: Any = None,
        run_in_thread: InThread | None = None,
        meters: Meters | None = None,
        shared_slots: HostSlots | None = None,
    ) -> None:
        self._shared_slots = shared_slots
        self._meters = meters or NoMeters()
        self._reactor = reactor
        self._hosts = AllowedHosts(allowed)
        self._slots = slots
        self._semaphores: dict[str, DeferredSemaphore] = {}
        self._running: set[Deferred[Fetched]] = set()
        self._threads: ThreadPool | None = None
        self._closed = False
        self._run_in_thread = run_in_thread or self._in_thread
        self._sample = None if sample_root is None else SampleFiles(sample_root, self._run_in_thread)
        self._pool = connection_pool(reactor, slots)
        endpoints = GuardedEndpoints(
            reactor,
            hosts=self._hosts,
            guard=AddressGuard(private_networks, is_own=is_own),
            overrides=Overrides(resolve or {}),
            tls=BrowserLikePolicyForHTTPS(trust),
            connect_timeout_s=CONNECT_TIMEOUT_S,
        )
        self._client = client or raw_client(reactor, endpoints, self._pool)

    def check(self, url: str) -> None:
        """As in interfaces.Fetcher."""
        if url.startswith(SAMPLE):
            self._check_sample(url)
        else:
            self._hosts.admit(parse_url(url))

    async def fetch(
        self,
        url: str,
        into: Path,
        *,
        max_bytes: int,
        timeout_s: float,
        accept: str = "*/*",
        on_bytes: Callable[[int], None] | None = None,
    ) -> Fetched:
        """As in interfaces.Fetcher."""
        self.check(url)
        errand = _Errand(into, max_bytes, accept, on_bytes, self._reactor.seconds() + timeout_s, self._meters)
        work = Deferred.fromCoroutine(self._run(url, errand))

        def stop(_: Deferred[Fetched]) -> None:
            errand.ended = True
            work.cancel()

        done: Deferred[Fetched] = Deferred(stop)

        def expire() -> None:
            errand.ended = True
            self._meters.count("limit_hits", limit="limits.fetch_seconds")
            host = errand.waiting_for or url[:200]
            done.errback(
                UpstreamTimeoutError(f"{host} took longer than {timeout_s:g} seconds for {url[:500]}.")
            )
            work.cancel()

        timer = self._reactor.callLater(timeout_s, expire)

        def deliver(result: Fetched | Failure) -> None:
            if not done.called and not errand.ended:
                done.callback(result)  # a Failure goes the other way

        work.addBoth(deliver)
        self._running.add(done)
        try:
            fetched = await done
        except StackvizError as error:
            self._meters.count("fetches", result=error.code)
            raise
        else:
            self._meters.count("fetches", result="ok")
            return fetched
        finally:
            self._running.discard(done)
            if timer.active():
                timer.cancel()

    async def close(self) -> None:
        """Cancel what runs, close idle connections, end the writing threads."""
        self._closed = True
        for running in list(self._running):
            running.cancel()
        closed: Deferred[None] = Deferred()

        def enough(_: object = None) -> None:
            if not closed.called:
                closed.callback(None)

        timer = self._reactor.callLater(_CLOSE_S, enough)  # over TLS the other side may never say goodbye
        self._pool.closeCachedConnections().addBoth(enough)
        await closed
        if timer.active():
            timer.cancel()
        threads, self._threads = self._threads, None
        if threads is not None:
            threads.stop()

    async def _run(self, url: str, errand: _Errand) -> Fetched:
        failures = redirects = 0
        while True:
            try:
                result = await self._attempt(url, errand)
            except _TryAgainError as again:
                failures += 1
                if errand.ended or failures > len(BACKOFF_S):
                    raise again.error from again
                pause = BACKOFF_S[failures - 1] if again.after_s is None else again.after_s
                if self._reactor.seconds() + pause >= errand.deadline:
                    raise again.error from again
                errand.take_back()
                log.debug("again in {pause} s: {error}", pause=pause, error=again.error.message)
                await deferLater(self._reactor, pause)
                continue
            if isinstance(result, Fetched):
                return result
            redirects += 1
            source = parse_url(url)
            if redirects > MAX_REDIRECTS:
                raise UpstreamInvalidError(f"{source.place} redirects more than {MAX_REDIRECTS} times.")
            if not result.location:
                raise UpstreamInvalidError(f"{source.place} redirects to nowhere for {url}.")
            try:
                target = parse_url(urljoin(source.url, result.location))
            except (ValueError, QueryNotUnderstoodError) as error:
                raise UpstreamInvalidError(
                    f"{source.place} redirects to {result.location[:200]!a}, which is no web address."
                ) from error
            self._hosts.admit(target, linked_by=f"A redirect of {source.place}")
            url = target.url

    async def _attempt(self, url: str, errand: _Errand) -> Fetched | _Redirect:
        """One request and its answer.  Raises _TryAgainError when another one may help."""
        if url.startswith(SAMPLE):
            found = await self._check_sample(url).request(url)
            return await self._take(cast(Answer, found), found.url, "The sample", errand)
        target = parse_url(url)
        self._hosts.admit(target)
        errand.waiting_for = target.place
        async with self._slot(target.place):
            try:
                answer = await self._ask(target, errand)
                return await self._take(answer, target.url, target.place, errand)
            except Exception as error:
                if errand.ended or isinstance(error, _TryAgainError):
                    raise
                trouble = explain(error, target.place, target.url)
                if trouble is None:
                    raise
                if trouble.transient:
                    raise _TryAgainError(trouble.error) from error
                raise trouble.error from error

    async def _ask(self, target: Target, errand: _Errand) -> Answer:
        headers = Headers(
            {
                "Host": [target.place],  # Agent would forget the brackets of an IPv6 address
                "User-Agent": [USER_AGENT],
                "Accept": [errand.accept],
                "Accept-Encoding": ["gzip"],
            }
        )
        return cast(
            Answer,
            await self._client.request(
                "GET",
                CheckedURL(target.url),
                headers=headers,
                allow_redirects=False,
                unbuffered=True,
                reactor=self._reactor,
            ),
        )

    async def _take(self, answer: Answer, url: str, place: str, errand: _Errand) -> Fetched | _Redirect:
        """The answer's body into the file, or what its status means."""
        if answer.code in _REDIRECTS:
            location = _header(answer, "Location")
            await self._discard(answer)
            return _Redirect(location or "")
        if answer.code != 200:
            pause = retry_after_s(_header(answer, "Retry-After"), time.time())
            await self._discard(answer)
            phrase = answer.phrase.decode("ascii", "replace")[:100]
            error = UpstreamStatusError(f"{place} answered {answer.code} {phrase} for {url}.", answer.code)
            if answer.code in _TRANSIENT:
                raise _TryAgainError(error, pause)
            raise error
        if isinstance(answer.length, int) and answer.length > errand.max_bytes:
            answer.deliverBody(Dropper())
            raise _too_large(url, errand.max_bytes)
        sink = FileSink(
            errand.into,
            max_bytes=errand.max_bytes,
            too_large=lambda: _too_large(url, errand.max_bytes),
            on_bytes=errand.tell,
            run_in_thread=self._run_in_thread,
        )
        answer.deliverBody(sink)
        size = await sink.done
        return Fetched(url=url, content_type=_header(answer, "Content-Type"), size=size)

    async def _discard(self, answer: Answer) -> None:
        if isinstance(answer.length, int) and answer.length > MAX_DRAIN:
            answer.deliverBody(Dropper())
            return
        drain = Drain()
        answer.deliverBody(drain)
        await drain.done.addTimeout(_DRAIN_S, self._reactor, onTimeoutCancel=lambda _result, _timeout: None)

    def _check_sample(self, url: str) -> SampleFiles:
        segments(url)
        if self._sample is None:
            raise QueryNotUnderstoodError("This server has no sample job.")
        return self._sample

    @asynccontextmanager
    async def _slot(self, place: str) -> AsyncIterator[None]:
        semaphore = self._semaphores.setdefault(place, DeferredSemaphore(self._slots))
        await semaphore.acquire()
        try:
            if self._shared_slots is None:
                yield
            else:
                async with self._shared_slots.held(place, self._slots):
                    yield
        finally:
            semaphore.release()
            if semaphore.tokens == self._slots:  # nobody holds one, nobody waits
                self._semaphores.pop(place, None)

    def _in_thread(self, fn: Callable[..., T], /, *args: object) -> Deferred[T]:
        if self._closed:  # what is left is to close files
            return execute(fn, *args)
        if self._threads is None:
            self._threads = ThreadPool(minthreads=0, maxthreads=_WRITERS, name="fetch")
            self._threads.start()
        return deferToThreadPool(self._reactor, self._threads, fn, *args)


def _header(answer: Answer, name: str) -> str | None:
    """The first value, bounded; None without one."""
    values = answer.headers.getRawHeaders(name)
    return values[0][:MAX_URL] if values else None


def _too_large(url: str, max_bytes: int) -> TooLargeError:
    shown = f"{max_bytes / (1 << 20):g} MiB" if max_bytes >= 1 << 20 else f"{max_bytes} bytes"
    return TooLargeError(f"{url} is larger than the {shown} that are fetched of such a file.")
