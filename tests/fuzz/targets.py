# SPDX-License-Identifier: Apache-2.0
"""Everything that reads what strangers write."""

from __future__ import annotations

from tests.fuzz import consoles, listings, lookups, runs, uploads
from tests.fuzz.target import Target

TARGETS: tuple[Target, ...] = (
    *lookups.TARGETS,
    *listings.TARGETS,
    *runs.TARGETS,
    *consoles.TARGETS,
    *uploads.TARGETS,
)
