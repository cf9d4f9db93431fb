# SPDX-License-Identifier: Apache-2.0
"""Results of tests, and what the machine did meanwhile."""

from __future__ import annotations

from tests.fuzz.mutation import repair_subunit
from tests.fuzz.target import file_target

_SUBUNIT = "logs/testrepository.subunit"

TARGETS = tuple(
    file_target(name, parser, file, seeds=seeds, dictionaries=(name,), **how)
    for name, parser, file, seeds, how in (
        (
            "subunit_v2",
            "subunit",
            _SUBUNIT,
            ("subunit/*.subunit", "subunit/[lrs]*.gz"),
            {"repair": repair_subunit},
        ),
        ("subunit_v1", "subunit", _SUBUNIT, ("subunit/ondisk*",), {}),
        ("junit", "junit", "logs/junit.xml", ("junit/*.xml", "junit/surefire/*"), {}),
        (
            "dstat",
            "dstat",
            "logs/dstat-csv_log.txt",
            ("dstat/*.csv", "dstat/*.log"),
            {"options": {"reference_ms": 1_464_775_200_000}},
        ),
        (
            "memory_tracker",
            "memory_tracker",
            "logs/screen-memory_tracker.txt",
            ("dstat/*memory_tracker*",),
            {},
        ),
    )
)
