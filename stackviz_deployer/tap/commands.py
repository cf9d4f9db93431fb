# SPDX-License-Identifier: Apache-2.0
"""What ``twistd stackviz-deployer`` does instead of serving: ``--check`` and ``--migrate-from``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from stackviz_deployer.check import Means, check, report
from stackviz_deployer.check_shared import shared
from stackviz_deployer.clock import Elapsed
from stackviz_deployer.config import Config
from stackviz_deployer.cpu import COMMAND
from stackviz_deployer.errors import ConfigError, StoreError
from stackviz_deployer.moving import Mover, check_target, run
from stackviz_deployer.net.guard import AddressGuard
from stackviz_deployer.net.own import is_among
from stackviz_deployer.store.migrate import load as migrations
from stackviz_deployer.store.onenode import OneNode
from stackviz_deployer.tap.data import bucket_trouble, data_place
from stackviz_deployer.tap.tasks import task_database
from stackviz_deployer.web.blobs import FileThreads
from stackviz_deployer.web.listen import examine


def check_only(config: Config, reactor: Any) -> int:
    """Say whether the configuration and what it names can be used; the status to exit with."""
    means = Means(
        parse_endpoint=partial(examine, reactor=reactor),
        newest_form=lambda: migrations()[-1].version,
        worker_command=COMMAND,
        shared=shared,
        try_bucket=bucket_trouble,
        refusal=AddressGuard(config.private_networks).refusal,
        is_among=is_among,
    )
    return report(check(config, means))


def move_only(config: Config, state_dir: Path, reactor: Any) -> int:
    """Copy a single node's tasks and blobs into what nodes share; the status to exit with."""
    say = partial(print, flush=True)
    source = OneNode(state_dir)
    try:
        check_target(state_dir, config.database, config.blobs)
        source.open()
        database = task_database(config, reactor, Elapsed())
        unused = FileThreads(reactor)  # of uploads, which do not come here
        data = data_place(config, database, unused.run, reactor)
        mover = Mover(source, database, data.blobs, say)
        return run(reactor, (database, *data.before, data.blobs), mover, say)
    except (ConfigError, StoreError) as error:
        say(f"error: {error.message}")
        return 1
    finally:
        source.close()
