# SPDX-License-Identifier: Apache-2.0
"""Where log events go: observer factories for ``twistd --logger``.

``--logger=stackviz_deployer.log.journal`` writes what systemd's journal reads from standard
output, ``--logger=stackviz_deployer.log.json_lines`` one JSON object an event.  Names, URLs
and messages in events come from other servers, so in both an event cannot look like two,
nor have another priority than its own.  Lines that belong to a request or a task carry its id (see trace.py).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from math import isfinite
from typing import Any

from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent
from zope.interface import implementer

from stackviz_deployer.trace import REQUEST, TASK

Write = Callable[[bytes], object]

# sd-daemon(3)
_PRIORITIES = {
    LogLevel.debug: 7,
    LogLevel.info: 6,
    LogLevel.warn: 4,
    LogLevel.error: 3,
    LogLevel.critical: 2,
}
# Control characters, and what else a terminal or a reader of lines takes for the end of a line.
_ESCAPES = {n: f"\\x{n:02x}" for n in (*range(32), *range(127, 160))}
_ESCAPES |= {ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): "\\t", 0x2028: "\\u2028", 0x2029: "\\u2029"}
# Directions of writing, which make a line read as another one ("Trojan source").
_ESCAPES |= {n: f"\\u{n:04x}" for n in (0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))}
_MAX_LINE = 7 << 10
"""Characters, each six bytes at most.  journald splits lines of more than 48 KiB, and the rest would
have no priority."""
_MAX_TRACEBACK = 64 << 10


def journal() -> ILogObserver:
    """For ``twistd -n --logger``: lines for systemd's journal on standard output."""
    return JournalObserver(_standard_output())


def json_lines() -> ILogObserver:
    """For ``twistd -n --logger``: a JSON object a line on standard output."""
    return JsonObserver(_standard_output())


@implementer(ILogObserver)
class JournalObserver:
    """``<priority>namespace: text [request=... task=...]``, a line an event.

    A failure's traceback follows, a line each, indented and with the same priority: the
    journal reads every line for itself, and one without would lose the priority.
    """

    def __init__(self, write: Write) -> None:
        self._write = write

    def __call__(self, event: LogEvent) -> None:
        """Write ``event``."""
        prefix = f"<{_PRIORITIES.get(_level(event), 6)}>"
        lines = [f"{prefix}{_line(_namespace(event))}: {_line(formatEvent(event))}{_ids()}"]
        lines += [f"{prefix}    {_line(text)}" for text in _traceback(event).splitlines()]
        self._write("".join(line + "\n" for line in lines).encode("utf-8", "backslashreplace"))


@implementer(ILogObserver)
class JsonObserver:
    """``{"time_s", "level", "namespace", "message", "request"?, "task"?, "traceback"?, "fields"?}``.

    A line an event.

    ``time_s`` is seconds UTC since 1970; ``fields`` are the event's named values, those that
    JSON has as they are and the others as text.
    """

    def __init__(self, write: Write) -> None:
        self._write = write

    def __call__(self, event: LogEvent) -> None:
        """Write ``event``."""
        entry: dict[str, Any] = {
            "time_s": event.get("log_time"),
            "level": _level(event).name,
            "namespace": _namespace(event),
            "message": _cut(formatEvent(event)),
        }
        for name, owner in _OWNERS:
            if (value := owner.get()) is not None:
                entry[name] = value
        if traceback := _traceback(event):
            entry["traceback"] = traceback
        if fields := {key: _value(event[key]) for key in event if not _reserved(key)}:
            entry["fields"] = fields
        # ASCII: half a surrogate pair and the ends of lines that only some readers know are escaped.
        self._write(json.dumps(entry, allow_nan=False).encode("ascii") + b"\n")


def _standard_output() -> Write:
    out = sys.stdout.buffer  # UTF-8 whatever the locale; twistd replaces sys.stdout after this

    def write(data: bytes) -> None:
        out.write(data)
        out.flush()

    return write


_OWNERS = (("request", REQUEST), ("task", TASK))


def _ids() -> str:
    found = [f"{name}={value}" for name, owner in _OWNERS if (value := owner.get()) is not None]
    return f" [{' '.join(found)}]" if found else ""


def _level(event: LogEvent) -> Any:
    return event.get("log_level") or LogLevel.info


def _namespace(event: LogEvent) -> str:
    return str(event.get("log_namespace") or "-")


def _traceback(event: LogEvent) -> str:
    failure = event.get("log_failure")
    if failure is None:
        return ""
    try:
        text = str(failure.getTraceback())
    except Exception as error:  # noqa: BLE001 - an observer that raises loses the event
        return f"(no traceback: {error!r})"
    if len(text) > _MAX_TRACEBACK:
        half = _MAX_TRACEBACK // 2
        text = f"{text[:half]}\n... ({len(text)} characters)\n{text[-half:]}"
    return text


def _line(text: str) -> str:
    return _cut(text).translate(_ESCAPES)


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_LINE else f"{text[:_MAX_LINE]}... ({len(text)} characters)"


# Twisted's own keys, and those that it adds for observers of the old kind.
_LEGACY = {"time", "system", "message", "format", "isError", "failure", "why", "logLevel"}


def _reserved(key: str) -> bool:
    return key.startswith("log_") or key in _LEGACY


def _value(value: Any) -> Any:
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and isfinite(value)):
        return value
    try:
        return _cut(str(value))
    except Exception as error:  # noqa: BLE001 - likewise
        return f"(no text: {error!r})"
