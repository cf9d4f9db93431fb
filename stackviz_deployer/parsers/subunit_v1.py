# SPDX-License-Identifier: Apache-2.0
"""Subunit v1 streams -> events, through python-subunit.

Imported only when such a stream arrives: python-subunit and testtools cost 0.2 s and
their memory.  A v1 stream is lines (``time: …``, ``test: …``, ``success: …``), one test at
a time; repositories of testr and stestr hold them to this day.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import subunit
from subunit.details import MultipartDetailsParser, SimpleDetailsParser
from testtools import ExtendedToStreamDecorator, StreamResult

from stackviz_deployer.parsers.subunit_v2 import (
    EXISTS,
    EXPECTED_FAILURE,
    FAIL,
    IN_PROGRESS,
    NONE,
    SKIP,
    SUCCESS,
    UNEXPECTED_SUCCESS,
    EventSink,
)

MAX_LINE_BYTES = 1 << 20
"""A longer line is read as several: attachments are counted in bytes, not in lines."""
MAX_TEST_BYTES = 16 << 20
"""python-subunit holds all that a test says before it tells us of it."""
MAX_TAG_LINES = 1000
"""For one test; further ones are left out: each costs testtools some microseconds, whatever it says."""
MAX_DAMAGES = 20
"""Damaged places that are told of."""

_END_OF_DETAILS = b"]\n"
_TEST = (b"test: ", b"testing: ")
_TAGS = b"tags:"
_BEFORE_TEST = (b"time: ", b"tags: ")
"""Which of these testr and stestr always write; a test that merely prints ``test: x`` does not."""
_PIECE_BYTES = 64 << 10

_STATUSES = {
    None: NONE,
    "exists": EXISTS,
    "inprogress": IN_PROGRESS,
    "success": SUCCESS,
    "uxsuccess": UNEXPECTED_SUCCESS,
    "skip": SKIP,
    "fail": FAIL,
    "xfail": EXPECTED_FAILURE,
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_v1(chunks: Iterable[bytes], sink: EventSink) -> list[str]:
    """Read a whole stream; returns what went wrong, in sentences.

    A test that is cut off, by damage or by the end, stays open for ``sink`` to finish.
    """
    warnings: list[str] = []
    result = _Result(sink)
    client = _Client(result)
    client.startTestRun()
    text = _Text(sink)
    protocol = _Protocol(client, text)
    told = b""
    tag_lines = 0
    for line in _lines(chunks):
        result.bytes_read += len(line)
        if line.startswith(_TAGS) and not protocol.in_details:
            tag_lines += 1
            if tag_lines > MAX_TAG_LINES:
                if tag_lines == MAX_TAG_LINES + 1 and len(warnings) < MAX_DAMAGES:
                    where = f"near byte {result.bytes_read}"
                    warnings.append(f"Tags beyond {MAX_TAG_LINES} lines of one test are left out ({where}).")
                continue
        elif line.startswith(_TEST):
            tag_lines = 0
        problem = None
        # files that were cut off and put together (devstack-gate does so with testr's tmp*): python-subunit
        # would take all that follows for text of the open test
        begins = line.startswith(_TEST) and told.startswith(_BEFORE_TEST)
        if begins and result.open_id is not None and not protocol.in_details:
            sink.event(result.open_id, None, NONE, None, client.test_tags, None, b"")
            client.give_up()
            protocol = _Protocol(client, text)
        told = line
        try:
            protocol.read(line)
        except Exception as error:  # noqa: BLE001 - python-subunit raises whatever its code stumbles on
            problem = f"{type(error).__name__}: {str(error)[:200]}"
        if result.bytes_read - result.test_ended_at > MAX_TEST_BYTES:
            result.test_ended_at = result.bytes_read
            problem = f"one test says more than {MAX_TEST_BYTES} bytes"
        if problem:
            # a fresh one waits for the next test, and lets go of what the old one held
            protocol = _Protocol(client, text)
            if len(warnings) < MAX_DAMAGES:
                warnings.append(f"The stream is damaged near byte {result.bytes_read} ({problem}).")
    # TestProtocolServer.lostConnection() would make an error of the test that is open, without what it said
    if result.open_id is not None:
        sink.event(result.open_id, None, NONE, None, client.test_tags, None, b"")
        for name, said in protocol.unfinished().items():
            sink.event(result.open_id, None, NONE, None, None, name.encode("utf-8", "replace"), said)
    return warnings


class _Protocol:
    """python-subunit's parser, kept from what would cost hours.

    It copies all that it has of simple details (``[`` lines ``]``) at each line: they are
    given to it in large pieces.  After a bad chunk length it waits, and looks through all
    that has come at each line: that is an error here.
    """

    def __init__(self, client: ExtendedToStreamDecorator, text: _Text) -> None:
        self._server = subunit.TestProtocolServer(client, text)
        self._held: list[bytes] = []
        self._held_bytes = 0

    def read(self, line: bytes) -> None:
        """One line; raises whatever python-subunit does."""
        details = self._details()
        if not isinstance(details, SimpleDetailsParser):
            self._server.lineReceived(line)
            chunks = getattr(details, "_chunk_parser", None)
            if chunks is not None and chunks.buffered_bytes:
                raise ValueError("bad chunk length")
        elif line == _END_OF_DETAILS:
            self._pass_on()
            self._server.lineReceived(line)
        else:
            # it takes the quoting space from the first line of a piece
            self._held.append(line[1:] if self._held and line.startswith(b" ]") else line)
            self._held_bytes += len(line)
            if self._held_bytes >= _PIECE_BYTES:
                self._pass_on()

    @property
    def in_details(self) -> bool:
        return self._details() is not None

    def unfinished(self) -> dict[str, bytes]:
        """The details that have begun and not ended, by name."""
        details = self._details()
        if isinstance(details, SimpleDetailsParser):
            self._pass_on()
            return {"traceback": details.get_message()}
        found: dict[str, bytes] = {}
        if isinstance(details, MultipartDetailsParser):
            for name, content in details.get_details().items():
                found[name] = b"".join(content.iter_bytes())
            name, body = getattr(details, "_name", None), getattr(details, "_body", None)
            if name is not None and body is not None:
                found[name] = body.getvalue()
        return found

    def _details(self) -> Any:
        # only its private state says in which details it is; without that it is merely slow
        return getattr(getattr(self._server, "_state", None), "details_parser", None)

    def _pass_on(self) -> None:
        if self._held:
            self._server.lineReceived(b"".join(self._held))
            self._held.clear()
            self._held_bytes = 0


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Lines with their ends, none much longer than MAX_LINE_BYTES."""
    held: list[bytes] = []
    size = 0
    for chunk in chunks:
        for line in chunk.splitlines(keepends=True):
            held.append(line)
            size += len(line)
            if line.endswith(b"\n") or size >= MAX_LINE_BYTES:
                yield b"".join(held)
                held.clear()
                size = 0
    if held:
        yield b"".join(held)


class _Text:
    """Where python-subunit writes the lines that are none of its own."""

    def __init__(self, sink: EventSink) -> None:
        self._sink = sink

    def write(self, data: bytes) -> None:
        self._sink.text(data, len(data))

    def flush(self) -> None:
        pass


class _Client(ExtendedToStreamDecorator):
    """Without a ``time:`` line it would take the time of day for the test's."""

    def __init__(self, result: _Result) -> None:
        super().__init__(result)
        self._result = result
        self._test: Any = None
        self._new_tags: set[str] = set()
        """Told since the test began."""
        self.test_tags: tuple[str, ...] = ()
        """Of the test, when it began: it tells of them again when it ends, and then only."""

    def startTest(self, test: Any) -> None:
        super().startTest(test)
        self._test, self._new_tags = test, set()
        self.test_tags = tuple(sorted(self.current_tags))

    def tags(self, new_tags: Iterable[str], gone_tags: Iterable[str]) -> None:
        super().tags(new_tags, gone_tags)
        self._new_tags = self._new_tags.union(new_tags).difference(gone_tags)

    def give_up(self) -> None:
        """Leave the open test: tags that were told since it began are of the next one."""
        tags = self._new_tags
        self.stopTest(self._test)
        new_worker = any(tag.startswith("worker-") for tag in tags)
        stale = {tag for tag in self.current_tags if new_worker and tag.startswith("worker-")}
        self.tags(tags, stale - tags)

    def time(self, a_datetime: datetime) -> None:
        super().time(a_datetime)
        self._result.timed = True


class _Result(StreamResult):
    def __init__(self, sink: EventSink) -> None:
        super().__init__()
        self._sink = sink
        self.bytes_read = 0
        self.test_ended_at = 0
        self.timed = False
        self.open_id: bytes | None = None
        """Of the test that runs."""

    def status(  # noqa: PLR0917 - testtools' signature
        self,
        test_id: str | None = None,
        test_status: str | None = None,
        test_tags: set[str] | None = None,
        runnable: bool = True,  # noqa: ARG002, FBT001, FBT002
        file_name: str | None = None,
        file_bytes: bytes | None = None,
        eof: bool = False,  # noqa: ARG002, FBT001, FBT002
        mime_type: str | None = None,  # noqa: ARG002
        route_code: str | None = None,  # noqa: ARG002
        timestamp: datetime | None = None,
    ) -> None:
        if test_id is None:
            return
        self.test_ended_at = self.bytes_read
        encoded = test_id.encode("utf-8", "replace")
        if test_status is not None:
            self.open_id = encoded if test_status == "inprogress" else None
        self._sink.event(
            encoded,
            None,
            _STATUSES[test_status],
            _us(timestamp) if self.timed and timestamp is not None else None,
            None if test_tags is None else tuple(sorted(test_tags)),
            None if file_name is None else file_name.encode("utf-8", "replace"),
            bytes(file_bytes or b""),
        )


def _us(time: Any) -> int:
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    return int((time - _EPOCH) // timedelta(microseconds=1))
