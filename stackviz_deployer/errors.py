# SPDX-License-Identifier: Apache-2.0
"""The exceptions that callers may catch.

Each has a stable ``code`` (kebab-case, part of the API) and a message that says what was
wrong and what to do.  HTTP statuses are web/errors.py's business alone.
"""

from __future__ import annotations

import errno
from typing import Self


class StackvizError(Exception):
    """Anything that we refuse or fail on purpose."""

    code = "error"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def saying(self, message: str) -> Self:
        """The same error in other words."""
        other = type(self).__new__(type(self), message)
        other.__dict__.update(self.__dict__)
        other.message = message
        return other


class ConfigError(StackvizError):
    """The configuration file or an option is wrong; names the key."""

    code = "config-invalid"


class QueryNotUnderstoodError(StackvizError):
    """What was pasted is none of the accepted forms; the message lists them."""

    code = "query-not-understood"


class InvalidRequestError(StackvizError):
    """The request's body or a parameter is not what the API takes."""

    code = "invalid-request"


class RequestTooLargeError(StackvizError):
    """The request's body is over its limit."""

    code = "request-too-large"


class RateLimitedError(StackvizError):
    """A client asks for costly things too often."""

    code = "rate-limited"

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class HostUnknownError(StackvizError):
    """The request's Host is no name of this server."""

    code = "host-unknown"


class TooManyUploadsError(StackvizError):
    """Too many files are being sent, or wait to be read."""

    code = "too-many-uploads"
    retry_after_s = 30


class UnsupportedMediaTypeError(StackvizError):
    """A POST that is not application/json."""

    code = "unsupported-media-type"


class ForeignOriginError(StackvizError):
    """A POST that another site's page sent."""

    code = "foreign-origin"


class NotFoundError(StackvizError):
    """No such change, task, artifact or block."""

    code = "not-found"


class HostNotAllowedError(StackvizError):
    """A URL whose host is not configured."""

    code = "host-not-allowed"


class AddressRefusedError(StackvizError):
    """A host whose address is neither public nor in private_networks."""

    code = "address-refused"


class UpstreamUnreachableError(StackvizError):
    """DNS, connection or TLS to another server failed; names the host."""

    code = "upstream-unreachable"


class UpstreamStatusError(StackvizError):
    """Another server answered with an error status; names the host and the status."""

    code = "upstream-error"

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class UpstreamInvalidError(StackvizError):
    """Another server's answer makes no sense; names the host."""

    code = "upstream-invalid"


class UpstreamTimeoutError(StackvizError):
    """Another server took too long; names the host."""

    code = "upstream-timeout"


class TooLargeError(StackvizError):
    """A fetched or decoded body is over its limit; names the file and the limit."""

    code = "too-large"
    limit: str | None = None
    """The limit's configured name, where it is not the usual one of the place."""


class ParseError(StackvizError):
    """A file is not what its name promises, or is beyond repair; names the file."""

    code = "parse-failed"


class WorkerDiedError(StackvizError):
    """The process that parsed a file was killed, crashed, or ran out of time or memory."""

    code = "worker-died"


class NoArtifactsError(StackvizError):
    """Nothing in the job that we know how to show; lists what was looked for and where."""

    code = "no-artifacts"


class NotScrapableError(StackvizError):
    """A build without a log directory; the message says why, when that is known."""

    code = "not-scrapable"


class TooManyStreamsError(StackvizError):
    """Too many event streams are open."""

    code = "too-many-streams"
    retry_after_s = 10


class QueueFullError(StackvizError):
    """Too many scrapes wait."""

    code = "queue-full"
    retry_after_s = 30


class TaskNotReadyError(StackvizError):
    """The task is still queued or pending."""

    code = "not-ready"


class TaskFailedError(StackvizError):
    """The task ended in error or was cancelled; repeats its message."""

    code = "task-failed"


class TaskExpiredError(StackvizError):
    """The task's blobs were purged; the job can be scraped again while its logs are there."""

    code = "expired"


class DataLostError(StackvizError):
    """An artifact's data is gone from the disk; the job can be scraped again while its logs are there."""

    code = "data-lost"


class UnauthorizedError(StackvizError):
    """An administrator's call without the administrator's token."""

    code = "unauthorized"


class TooManyAttemptsError(StackvizError):
    """Too many wrong tokens."""

    code = "too-many-attempts"
    retry_after_s = 60


class TaskTimeoutError(StackvizError):
    """The whole scrape took longer than limits.task_seconds."""

    code = "task-timeout"


class InternalError(StackvizError):
    """A defect of ours; the daemon's log says which."""

    code = "internal-error"


class CancelRefusedError(StackvizError):
    """The cancel key is not the task's."""

    code = "cancel-refused"


class StoreError(StackvizError):
    """The database or the blob directory cannot be used.

    The message is for the operator: it names paths, and says how to mend it.  ``reason`` is
    what everybody may know.
    """

    code = "store-failed"
    retry_after_s = 30

    def __init__(self, message: str, *, reason: str = "the server cannot use its store") -> None:
        super().__init__(message)
        self.reason = reason


class UnreachableError(StoreError):
    """The server of the database does not answer, which says nothing of what was to be stored."""


class UnknownOutcomeError(UnreachableError):
    """The connection to the database was lost while it committed: it did, or it did not."""


class OutOfFilesError(StoreError):
    """The process, or the machine, may not open one more file or connection."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what}: too many open files; allow the daemon more (LimitNOFILE= in its unit, ulimit -n)",
            reason="the server has as many files and connections open as it may",
        )

    @staticmethod
    def fits(error: object) -> bool:
        """Whether an OSError, or its number alone, says so."""
        return (error.errno if isinstance(error, OSError) else error) in {errno.EMFILE, errno.ENFILE}
