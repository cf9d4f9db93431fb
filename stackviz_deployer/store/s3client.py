# SPDX-License-Identifier: Apache-2.0
"""Objects of one bucket, through botocore.  Everything here blocks: for threads, within a ``Call``.

Why botocore: it is the client that S3-compatible stores are tested with, it is kept by AWS,
and it alone (without boto3 and s3transfer) does all that is needed here.  It is imported when
``blobs: {kind: s3}`` is configured.  Requests use nothing that only AWS knows: a PUT has its
length, its SHA-256 in the signature and a Content-MD5, which the store has to check both; no
trailers, no parts, no batches.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

import botocore.session
from attrs import frozen
from botocore import exceptions
from botocore.config import Config
from urllib3.exceptions import HTTPError

from stackviz_deployer.errors import StoreError
from stackviz_deployer.settings import Bucket, Credentials
from stackviz_deployer.store.files import AWAY
from stackviz_deployer.store.s3transport import CONNECT_S, READ_S, CutError, Transport

TRIES = 3
"""Of one request, when the store does not answer or answers 5xx, with pauses of a second or two."""
CONNECTIONS = 16
"""Threads that use one client at once."""
PROBE = "probe"
"""The key of what is put to see whether that works."""
PAGE = 1000
"""Of a listing; the most that S3 gives."""
CHUNK = 64 << 10
DENIED = "the server may not use its object store"

_GONE = ("NoSuchKey",)
_NO_BUCKET = ("NoSuchBucket", "InvalidBucketName")
_DENIALS = (
    "AccessDenied",
    "AllAccessDisabled",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "SignatureDoesNotMatch",
    "403",
    "401",
)
_SKEWED = ("RequestTimeTooSkewed", "RequestExpired")


class StoreAwayError(StoreError):
    """The store does not answer, or says that it cannot now: it may in a moment."""


@frozen(kw_only=True)
class Found:
    """An object as the store tells of it."""

    key: str
    """Without the prefix."""
    size: int
    changed_s: float
    md5: str | None
    """In hexadecimal digits, when the store tells it."""


class S3Client:
    """The objects below ``place.prefix``, which no key here contains."""

    def __init__(self, place: Bucket, credentials: Credentials, *, connections: int) -> None:
        """Raises StoreError when the CA file cannot be used."""
        self._place = place
        self._where = f"{place.endpoint}, bucket {place.bucket}"
        try:
            self._transport = Transport(connections, place.ca_file)
        except OSError as error:
            raise StoreError(f"blobs.ca_file: cannot use {place.ca_file}: {error}") from error
        session = botocore.session.Session()
        self._client: Any = session.create_client(
            "s3",
            endpoint_url=place.endpoint,
            region_name=place.region,
            aws_access_key_id=credentials.access_key,
            aws_secret_access_key=credentials.secret_key,
            aws_session_token=credentials.session_token,
            config=Config(
                signature_version="s3v4",
                connect_timeout=CONNECT_S,
                read_timeout=READ_S,
                retries={"mode": "standard", "total_max_attempts": TRIES},
                s3={"addressing_style": "path", "payload_signing_enabled": True},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                ignore_configured_endpoint_urls=True,
            ),
        )
        self._client.meta.events.register("before-send.s3", self._transport.send)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
        self._transport.close()

    def head(self, key: str) -> Found | None:
        """What the store tells of an object; None when there is none.  Raises StoreError."""
        try:
            said = self._ask("head_object", Key=key)
        except _GoneError:
            return None
        return Found(
            key=key,
            size=int(said["ContentLength"]),
            changed_s=said["LastModified"].timestamp(),
            md5=_md5_of(said.get("ETag")),
        )

    def put(self, key: str, path: Path) -> None:
        """Make ``path`` the object; durable when this returns.  Raises StoreError."""
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).digest()
            file.seek(0)
            self._ask("put_object", Key=key, Body=file, ContentMD5=base64.b64encode(digest).decode("ascii"))

    def put_bytes(self, key: str, data: bytes) -> None:
        """See ``put``."""
        digest = hashlib.md5(data, usedforsecurity=False).digest()
        self._ask("put_object", Key=key, Body=data, ContentMD5=base64.b64encode(digest).decode("ascii"))

    def get(
        self,
        key: str,
        into: BinaryIO,
        *,
        span: tuple[int, int] | None = None,
        max_bytes: int,
        sized: Callable[[int], None] = lambda _: None,
    ) -> int | None:
        """Write the object, or ``span`` of it (offset and size), into a file; how many bytes it has.

        None when there is none; nothing is written when there are more than ``max_bytes``.  ``sized`` is
        told how many are coming.  Raises StoreError, also when fewer come.
        """
        more = {}
        if span is not None:
            more["Range"] = f"bytes={span[0]}-{span[0] + span[1] - 1}"
        try:
            said = self._ask("get_object", Key=key, **more)
        except _GoneError:
            return None
        except _NoSuchRangeError:
            return 0
        size = int(said["ContentLength"])
        body = said["Body"]
        try:
            if size <= max_bytes:
                sized(size)
                into.writelines(self._told(lambda: body.iter_chunks(CHUNK)))
        finally:
            body.close()
        return size

    def remove(self, key: str) -> None:
        """Remove it, if it is there.  Raises StoreError."""
        with suppress(_GoneError):
            self._ask("delete_object", Key=key)

    def listed(self, below: str) -> Iterator[Found]:
        """All objects whose keys begin with ``below``, asked for in pages.  Raises StoreError."""
        prefix = self._place.prefix + below
        more: dict[str, str] = {}
        while True:
            said = self._ask("list_objects_v2", Prefix=prefix, MaxKeys=PAGE, **more)
            for one in said.get("Contents", ()):
                yield Found(
                    key=one["Key"].removeprefix(self._place.prefix),
                    size=int(one["Size"]),
                    changed_s=one["LastModified"].timestamp(),
                    md5=_md5_of(one.get("ETag")),
                )
            if not said.get("IsTruncated"):
                return
            more = {"ContinuationToken": said["NextContinuationToken"]}

    def try_all(self) -> None:
        """Put, get, list and remove a small object.  Raises StoreError."""
        key, data = f"{PROBE}-{uuid4().hex}", b"try"
        self.put_bytes(key, data)
        into = BytesIO()
        self.get(key, into, max_bytes=len(data))
        listed = [one.key for one in self.listed(PROBE)]
        self.remove(key)
        if into.getvalue() != data or key not in listed:
            raise StoreError(f"{self._where} does not give back, or list, what was put there", reason=AWAY)

    def _ask(self, operation: str, **parameters: Any) -> dict[str, Any]:
        key = parameters.get("Key")
        if key is not None:
            parameters["Key"] = self._place.prefix + key
        try:
            said: dict[str, Any] = getattr(self._client, operation)(Bucket=self._place.bucket, **parameters)
        except exceptions.ClientError as error:
            if operation == "head_object" and _status(error) == 404:
                # A HEAD has no body that could say what there is not: the object, or the bucket.
                self._ask("get_object", Key=key, Range="bytes=0-0")["Body"].close()
                raise StoreAwayError(f"{self._where} contradicts itself; ask again", reason=AWAY) from None
            raise self._refused(error) from None  # whose text is the store's, and goes into no log
        except (exceptions.BotoCoreError, HTTPError, CutError) as error:
            raise self._away(error) from None
        return said

    def _told(self, chunks: Callable[[], Iterator[bytes]]) -> Iterator[bytes]:
        try:
            yield from chunks()
        except (exceptions.BotoCoreError, HTTPError, CutError) as error:
            raise self._away(error) from None

    def _away(self, error: Exception) -> StoreError:
        # the class says what happened; the text of some names what was sent
        what = "TookTooLong" if isinstance(error, CutError) else type(error).__name__.removesuffix("Error")
        remedy = "is it up, and can this node reach it?"
        if isinstance(error, exceptions.SSLError):
            remedy = "compare blobs.ca_file with the server's certificate and its name"
        return StoreAwayError(f"{self._where} does not answer ({what}); {remedy}", reason=AWAY)

    def _refused(self, error: exceptions.ClientError) -> Exception:
        said, status = str(error.response.get("Error", {}).get("Code", "")), _status(error)
        code = "".join(c for c in said if c.isascii() and c.isalnum())[:40]
        if code in _GONE:
            return _GoneError()
        if status == 416:
            return _NoSuchRangeError()
        if code in _NO_BUCKET:
            what = "there is no such bucket; make it, or name another (blobs.bucket)"
            return StoreError(f"{self._where}: {what}", reason=AWAY)
        if code in _SKEWED:
            return StoreError(f"{self._where}: this node's clock is wrong ({code}); set it", reason=DENIED)
        if code in _DENIALS or status in (401, 403):
            return StoreError(
                f"{self._where} refuses this access key ({code}); give it the rights to get, put, delete and"
                " list objects there, or name another",
                reason=DENIED,
            )
        if status >= 500 or status in (408, 429):
            return StoreAwayError(f"{self._where} fails ({status} {code}); look into its log", reason=AWAY)
        return StoreError(f"{self._where} refused a request ({status} {code})", reason=AWAY)


class _GoneError(Exception):
    """There is no such object."""


class _NoSuchRangeError(Exception):
    """The object ends before it."""


def _status(error: exceptions.ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _md5_of(etag: str | None) -> str | None:
    """An ETag is the MD5 of an object, unless the store encrypts it or got it in parts."""
    text = (etag or "").strip('"').lower()
    return text if len(text) == 32 and all(c in "0123456789abcdef" for c in text) else None
