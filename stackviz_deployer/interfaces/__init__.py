# SPDX-License-Identifier: Apache-2.0
"""The seams of the house: what each part offers the others.

``web`` and ``jobs`` know these alone; ``tap`` puts the real ones behind them.  Everything
that waits takes its deadline from its caller or from Limits, and can be cancelled
(cancelling the Deferred that holds the coroutine stops the work and frees what it held).
"""

from stackviz_deployer.interfaces.data import BlobStore, Intake, InThread, Uploads
from stackviz_deployer.interfaces.meters import Meters, NoMeters
from stackviz_deployer.interfaces.parsing import CpuPool, Scraper, Wanted
from stackviz_deployer.interfaces.sources import Fetcher, HostSlots, Listing, Lookup
from stackviz_deployer.interfaces.tasks import (
    Admin,
    Audience,
    Bus,
    Copies,
    Keeper,
    OwnTaskStore,
    SharedTaskStore,
    Tasks,
    TaskStore,
)

__all__ = [
    "Admin",
    "Audience",
    "BlobStore",
    "Bus",
    "Copies",
    "CpuPool",
    "Fetcher",
    "HostSlots",
    "InThread",
    "Intake",
    "Keeper",
    "Listing",
    "Lookup",
    "Meters",
    "NoMeters",
    "OwnTaskStore",
    "Scraper",
    "SharedTaskStore",
    "TaskStore",
    "Tasks",
    "Uploads",
    "Wanted",
]
