# SPDX-License-Identifier: Apache-2.0
"""The limits that no key configures, as ``/metrics`` states them.

Imported only where there are metrics: some parsers come with it.
"""

from __future__ import annotations

from stackviz_deployer.listing import directory
from stackviz_deployer.metrics import page
from stackviz_deployer.parsers import archive, console, dstat, junit_run, listing, subunit_run, upload, worker
from stackviz_deployer.web import admin, api, channel, coming, events, request


def counted_limits() -> dict[str, float]:
    """By the names under which they are counted when they are hit."""
    return {
        "request_head": channel.MAX_HEAD,
        "request_body": request.MAX_BODY,
        "uploads_of_one_client": coming.CLIENT_COMING,
        "uploads_at_once": coming.AT_ONCE,
        "admin_attempts": admin.ATTEMPTS,
        "metrics_connections": page.MOST_CONNECTIONS,
        "metrics_seconds": page.WHOLE_S,
    }


def told_limits() -> dict[str, float]:
    """Those of which a warning or an answer tells whom they concern, by their names in docs/limits.rst."""
    return {
        "web.channel.MAX_FIELDS": channel.MAX_FIELDS,
        "web.api.MAX_SPAN": api.MAX_SPAN,
        "web.events.SHARE": events.SHARE,
        "listing.directory.MAX_REQUESTS": directory.MAX_REQUESTS,
        "parsers.worker.PROCESSOR_S": worker.PROCESSOR_S,
        "parsers.archive.MAX_ENTRIES": archive.MAX_ENTRIES,
        "parsers.upload.MAX_PARTS": upload.MAX_PARTS,
        "parsers.listing.MAX_ENTRIES": listing.MAX_ENTRIES,
        "parsers.subunit_run.RunLimits.tests": subunit_run.RunLimits().tests,
        "parsers.junit_run.LIMITS.tests": junit_run.LIMITS.tests,
        "parsers.console.MAX_LINES": console.MAX_LINES,
        "parsers.dstat.MAX_ROWS": dstat.MAX_ROWS,
    }
