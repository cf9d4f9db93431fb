# SPDX-License-Identifier: Apache-2.0
"""What python-subunit makes of a stream, and ways to write one."""

import gzip
import io
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import subunit
from subunit.v2 import StreamResultToBytes
from testtools import ExtendedToStreamDecorator, StreamResult, StreamToDict

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests" / "fixtures" / "subunit"
SHARED = ROOT.parent / "shared" / "data"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
STATUS_NAMES = (None, "exists", "inprogress", "success", "uxsuccess", "skip", "fail", "xfail")


def moment(us: int) -> datetime:
    return EPOCH + timedelta(microseconds=us)


def microseconds(time: datetime | None) -> int | None:
    return None if time is None else (time - EPOCH) // timedelta(microseconds=1)


def read(path: Path) -> bytes:
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data


def write(events: Iterable[dict[str, Any]]) -> bytes:
    """A v2 stream, by python-subunit."""
    stream = io.BytesIO()
    out = StreamResultToBytes(stream)
    for event in events:
        out.status(**event)
    return stream.getvalue()


def run(data: bytes, result: StreamResult, path: Path | None = None) -> None:
    """Through python-subunit.  From a file where there may be stray text: it reads a BytesIO wrongly."""
    if data.startswith((b"time: ", b"test: ")):
        client = ExtendedToStreamDecorator(result)
        client.startTestRun()
        subunit.ProtocolTestCase(io.BytesIO(data), passthrough=io.BytesIO()).run(client)
    elif path is None:
        subunit.ByteStreamToStreamResult(io.BytesIO(data), non_subunit_name="stdout").run(result)
    else:
        path.write_bytes(data)
        with path.open("rb") as file:
            subunit.ByteStreamToStreamResult(file, non_subunit_name="stdout").run(result)


class _Events(StreamResult):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[Any, ...]] = []

    def status(self, test_id=None, test_status=None, test_tags=None, **more) -> None:
        if test_id is not None:
            self.found.append(
                (
                    test_id,
                    more.get("route_code"),
                    test_status,
                    microseconds(more.get("timestamp")),
                    None if test_tags is None else frozenset(test_tags),
                    more.get("file_name"),
                    bytes(more.get("file_bytes") or b""),
                )
            )


def events(data: bytes) -> list[tuple[Any, ...]]:
    """Each packet about a test: id, route, status, time, tags, file name, bytes."""
    result = _Events()
    run(data, result)
    return result.found


def tests(data: bytes, path: Path | None = None) -> list[dict[str, Any]]:
    """StreamToDict's tests without ``exists``: id, status, tags, timestamps (us), details (bytes)."""
    found: list[dict[str, Any]] = []
    result = StreamToDict(found.append)
    result.startTestRun()
    run(data, result, path)
    result.stopTestRun()
    for test in found:
        test["timestamps"] = [microseconds(time) for time in test["timestamps"]]
        test["details"] = {key: b"".join(c.iter_bytes()) for key, c in test["details"].items()}
    return [test for test in found if test["status"] != "exists"]
