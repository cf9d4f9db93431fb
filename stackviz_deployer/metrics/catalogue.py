# SPDX-License-Identifier: Apache-2.0
"""Every metric: its name (without the prefix ``stackviz_``), what it means, its labels.

A test compares the calls of ``interfaces.Meters`` in the whole package with this table, and
docs/operations.rst shows it.
"""

from __future__ import annotations

from enum import Enum

from attrs import frozen


class Kind(Enum):
    """How Prometheus reads it."""

    COUNTER = "counter"
    """Told by ``Meters.count``; its name gets ``_total``."""
    HISTOGRAM = "histogram"
    """Told by ``Meters.observe``."""
    GAUGE = "gauge"
    """Asked at each scrape."""


@frozen
class Family:
    """One metric."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    """Upper bounds of a histogram's, in seconds."""


ANSWER_S = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0)
WORK_S = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
LAG_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 5.0)

_ALL = (
    Family(
        "requests",
        Kind.COUNTER,
        "Requests, by the pattern of their route and the class of their answer (cut: not answered whole)",
        ("route", "status"),
    ),
    Family(
        "request_seconds",
        Kind.HISTOGRAM,
        "From the last byte of a request to the last byte of its answer",
        ("route",),
        ANSWER_S,
    ),
    Family("served_bytes", Kind.COUNTER, "Bytes of answers' bodies", ("route",)),
    Family(
        "tasks",
        Kind.COUNTER,
        "Tasks that ended: finished, or error with its code as the reason, or cancelled",
        ("result", "reason"),
    ),
    Family("task_seconds", Kind.HISTOGRAM, "From the start of a task to its end", ("result",), WORK_S),
    Family(
        "stage_seconds",
        Kind.HISTOGRAM,
        "How long tasks were held up by each of their stages",
        ("stage",),
        WORK_S,
    ),
    Family("fetches", Kind.COUNTER, "Fetched files and answers: ok, or the code of the error", ("result",)),
    Family("fetched_bytes", Kind.COUNTER, "Bytes received from other servers, as they came over the wire"),
    Family("stored_bytes", Kind.COUNTER, "Bytes of the artifacts that finished tasks recorded"),
    Family("worker_starts", Kind.COUNTER, "Parser processes that were started"),
    Family(
        "worker_ends",
        Kind.COUNTER,
        "Parser processes that ended: for want of memory (after an answer that says so), dismissed"
        " (cancelled or late), killed by somebody else, crashed, exited by themselves, or not started at all",
        ("kind",),
    ),
    Family("parses", Kind.COUNTER, "Answers of parser processes: ok, or the code of the error", ("result",)),
    Family("limit_hits", Kind.COUNTER, "How often a limit refused or ended something", ("limit",)),
    Family(
        "limit",
        Kind.GAUGE,
        "The limits of docs/limits.rst: bytes, seconds or numbers",
        ("limit",),
    ),
    Family("queue_length", Kind.GAUGE, "Tasks that wait"),
    Family("tasks_running", Kind.GAUGE, "Tasks that are being worked on"),
    Family("workers", Kind.GAUGE, "Parser processes: wanted, ready and busy ones", ("state",)),
    Family("worker_requests_waiting", Kind.GAUGE, "Files and answers that wait for a parser process"),
    Family(
        "reactor_lag_seconds",
        Kind.HISTOGRAM,
        "How late a timer was that is due four times a second",
        (),
        LAG_S,
    ),
    Family("reactor_lag_max_seconds", Kind.GAUGE, "The latest that this timer ever was since the start"),
    Family("disk_free_bytes", Kind.GAUGE, "Room for the daemon on the file system of the state directory"),
    Family("disk_total_bytes", Kind.GAUGE, "Size of that file system, when it was last probed"),
    Family(
        "disk_bytes",
        Kind.GAUGE,
        "What the store has on the disk: blobs (of all sites, counted each minute; retention.bytes is their"
        " limit), files (blobs and their indices, counted at the start and daily)",
        ("what",),
    ),
    Family("blobs", Kind.GAUGE, "Blobs in the store, counted at the start and daily"),
    Family("sites_expired", Kind.GAUGE, "Sites that expired since the start"),
    Family("degraded", Kind.GAUGE, "Reasons why /health is degraded; 0 is well"),
    Family("info", Kind.GAUGE, "Always 1", ("version",)),
)
FAMILIES = {family.name: family for family in _ALL}
