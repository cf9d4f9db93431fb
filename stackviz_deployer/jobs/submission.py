# SPDX-License-Identifier: Apache-2.0
"""What is known of a job when its scrape is submitted."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit, urlunsplit

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from stackviz_deployer.errors import (
    HostNotAllowedError,
    InvalidRequestError,
    NotFoundError,
    QueryNotUnderstoodError,
    StackvizError,
)
from stackviz_deployer.interfaces import Lookup
from stackviz_deployer.model import Job

log = Logger()

DESCRIBE_S = 4.0
"""For the look-up of a job's facts; the scrape does not need them."""

_REFUSALS = (HostNotAllowedError, InvalidRequestError, NotFoundError, QueryNotUnderstoodError)


async def described(lookup: Lookup, url: str, clock: IReactorTime) -> Job:
    """The job that ``url`` is of: what ``lookup`` tells within DESCRIBE_S, else what the URL says.

    Raises HostNotAllowedError and its like when the look-up refuses the URL itself.
    """
    asked = Deferred.fromCoroutine(lookup.describe(url)).addTimeout(DESCRIBE_S, clock)
    try:
        job = await asked
    except _REFUSALS:
        raise
    except (StackvizError, DeferredTimeoutError) as error:
        log.info("nothing is known of {url}: {error}", url=url, error=error)
        return Job(url=directory(url), name=_guessed_name(url))
    return job if job.url is not None else evolve(job, url=directory(url))


def directory(url: str) -> str:
    """Without query and fragment, with a slash at its end."""
    parts = urlsplit(url)
    path = parts.path if parts.path.endswith("/") else parts.path + "/"
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


def _guessed_name(url: str) -> str:
    """``.../<pipeline>/<job>/<build>/`` -> the job."""
    parts = urlsplit(url)
    names = [unquote(name) for name in parts.path.split("/") if name]
    return names[-2] if len(names) > 1 else (names or [parts.netloc])[0]
