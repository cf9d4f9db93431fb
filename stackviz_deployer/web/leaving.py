# SPDX-License-Identifier: Apache-2.0
"""The end of a site's connections, once its ports are closed and before what answers are made of stops.

A balancer, or a browser, sends its next request on a connection that it has; if that goes away meanwhile,
nobody knows whether the request was seen.  So connections are left open for a moment: an answer on one says
that it was the last, and only those that nobody used are closed.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as TimedOut
from twisted.logger import Logger

from stackviz_deployer.web.site import DeployerSite

log = Logger()

LAST_S = 1.0
"""For requests that are on their way."""
BUSY_S = 5.0
"""For answers that take longer, uploads that are coming in, and readers that are slow."""


async def leave(site: DeployerSite) -> None:
    """Return when no connection is left; after BUSY_S what is left is cut off."""
    site.leaving = True
    for channel in list(site.channels):
        channel.end_streams()
    await _empty(site, LAST_S)
    for channel in list(site.channels):
        channel.end_streams()  # those that were on their way
        if channel.quiet:
            channel.loseConnection()
    await _empty(site, BUSY_S - LAST_S)
    if site.channels:
        log.info("{count} connections are cut off", count=len(site.channels))
    for channel in list(site.channels):
        channel.transport.abortConnection()


async def _empty(site: DeployerSite, wait_s: float) -> None:
    if not site.channels:
        return
    site.empty = empty = Deferred[None]()
    empty.addTimeout(wait_s, site.clock)
    try:
        await empty
    except TimedOut:
        pass
    finally:
        site.empty = None
