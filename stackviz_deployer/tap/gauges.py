# SPDX-License-Identifier: Apache-2.0
"""What is asked for at each reading of the metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from stackviz_deployer import __version__
from stackviz_deployer.config import Config, stated_limits
from stackviz_deployer.limits import counted_limits, told_limits

Facts = Callable[[], Mapping[str, Any]]


def gauges(config: Config, queue: Facts, cpu: Facts, health: Facts) -> dict[str, Callable[[], Any]]:
    """By their names in metrics/catalogue.py; nothing of it waits."""

    def workers() -> Mapping[str, float]:
        facts = cpu()
        return {"wanted": facts["processes"], "ready": facts["ready"], "busy": facts["busy"]}

    def used() -> Mapping[str, float]:
        facts = health()["sites"]
        return {"blobs": facts["blob_bytes"], "files": facts["file_bytes"]}

    def degraded() -> int:
        facts = health()
        return len(facts["reasons"]) + len(facts["notes"])  # as /health counts them

    limits = {**stated_limits(config), **counted_limits(), **told_limits()}
    return {
        "info": lambda: {__version__: 1},
        "limit": lambda: limits,
        "queue_length": lambda: queue()["queued"],
        "tasks_running": lambda: queue()["running"],
        "workers": workers,
        "worker_requests_waiting": lambda: cpu()["waiting"],
        "disk_free_bytes": lambda: health()["disk"]["free_bytes"],
        "disk_total_bytes": lambda: health()["disk"]["total_bytes"],
        "disk_bytes": used,
        "blobs": lambda: health()["sites"]["blobs"],
        "sites_expired": lambda: health()["sites"]["expired"],
        "degraded": degraded,
    }
