# SPDX-License-Identifier: Apache-2.0
"""Builds the daemon, not yet started."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from twisted.application.service import IService

from stackviz_deployer.clock import Elapsed, now_ms
from stackviz_deployer.config import Config
from stackviz_deployer.cpu import WorkerPool
from stackviz_deployer.doors import DescriptorWatch
from stackviz_deployer.jobs.admin import Administration
from stackviz_deployer.jobs.epilogue import Epilogue
from stackviz_deployer.jobs.executor import Executor
from stackviz_deployer.jobs.pipeline import Pipeline
from stackviz_deployer.jobs.queue import JobQueue
from stackviz_deployer.jobs.sweeper import SHARED_TIDY_S, TIDY_S, Sweeper
from stackviz_deployer.jobs.uploads import UploadOpener, sweep
from stackviz_deployer.listing.job import JobListing
from stackviz_deployer.lookup.service import LookupService
from stackviz_deployer.metrics.lag import LagProbe
from stackviz_deployer.metrics.meters import PrometheusMeters
from stackviz_deployer.metrics.page import MetricsSite
from stackviz_deployer.model import Job
from stackviz_deployer.net.fetch import HttpFetcher
from stackviz_deployer.net.own import is_own_endpoint
from stackviz_deployer.scrapers import SCRAPERS
from stackviz_deployer.service import Closing, Staged
from stackviz_deployer.store.retention import SqlRetention
from stackviz_deployer.store.task_store import SqlTaskStore
from stackviz_deployer.tap.data import data_place
from stackviz_deployer.tap.front import front, listening
from stackviz_deployer.tap.tasks import distribution, task_database
from stackviz_deployer.web.blobs import FileThreads
from stackviz_deployer.web.kept import Kept
from stackviz_deployer.web.leaving import leave
from stackviz_deployer.web.names import Names

Facts = Callable[[], Mapping[str, Any]]


def build(config: Config, reactor: Any) -> IService:
    """Every part of the daemon, in the order in which they start (they stop the other way round).

    ``reactor`` is the real one.  Raises ConfigError.
    """
    package = resources.files("stackviz_deployer")
    samples = Path(str(package.joinpath("sample")))
    meters = PrometheusMeters()
    lag = LagProbe(reactor, meters)
    ages = Elapsed()
    descriptors = DescriptorWatch(reactor)
    database = task_database(config, reactor, ages)
    store = SqlTaskStore(database, now_ms, ages.now_ms)
    threads, writing = FileThreads(reactor), FileThreads(reactor, threads=2)
    data = data_place(config, database, writing.run, reactor)
    blobs, uploads, disk = data.blobs, data.uploads, data.disk
    kept = Kept()
    tasks = distribution(config, reactor, store=store, kept=kept, writable=data.writable)
    rows = SqlRetention(
        database,
        ages.now_ms,
        tasks.copies,
        agreed=None if config.database is None else ages.at_least,
    )
    sweeper = Sweeper(
        rows=rows,
        files=blobs,
        retention=config.retention,
        clock=reactor,
        sweep_uploads=partial(sweep, uploads, store) if data.shared else None,
        tidy_s=SHARED_TIDY_S if data.shared else TIDY_S,
    )
    cpu = WorkerPool(reactor, slots=config.workers, memory_bytes=config.limits.memory_bytes, meters=meters)
    fetcher = HttpFetcher(
        reactor,
        allowed=(
            *config.log_hosts,
            *(urlsplit(gerrit.url).netloc for gerrit in config.gerrits),
            *(urlsplit(zuul.url).netloc for zuul in config.zuuls),
        ),
        private_networks=config.private_networks,
        resolve=config.resolve,
        is_own=partial(is_own_endpoint, descriptors),
        sample_root=samples,
        meters=meters,
        shared_slots=tasks.slots,
    )
    lookup = LookupService(
        fetcher=fetcher,
        cpu=cpu,
        gerrits=config.gerrits,
        zuuls=config.zuuls,
        samples=[Job.from_json(job) for job in json.loads((samples / "jobs.json").read_bytes())],
        limits=config.limits,
        clock=reactor,
        scratch=blobs.scratch,
        meters=meters,
    )
    pipeline = Pipeline(
        listing=JobListing(
            fetcher=fetcher,
            cpu=cpu,
            limits=config.limits,
            names=[glob for scraper in SCRAPERS for glob in scraper.globs],
        ),
        fetcher=fetcher,
        cpu=cpu,
        blobs=blobs,
        scrapers=SCRAPERS,
        uploads=UploadOpener(uploads=uploads, cpu=cpu, scrapers=SCRAPERS, limits=config.limits),
        limits=config.limits,
        clock=reactor,
        scratch=blobs.scratch,
        jjb_yaml_path=config.jjb_yaml_path,
        jjb_cache_dir=config.state_dir / "cache" / "jjb",
        meters=meters,
    )
    bus = tasks.bus
    epilogue = Epilogue(uploads, meters)
    executor = None
    if config.role != "web":
        executor = Executor(
            bus=bus,
            store=store,
            pipeline=pipeline,
            clock=reactor,
            scrapes=config.scrapes,
            epilogue=epilogue,
            hold=blobs.hold,
            settled=blobs.settled,
            meters=meters,
        )
    queue = JobQueue(
        bus=bus,
        store=store,
        lookup=lookup,
        fetcher=fetcher,
        uploads=uploads,
        clock=reactor,
        limits=config.limits,
        epilogue=epilogue,
        executor=executor,
        writable=data.writable,
        meters=meters,
    )
    parts: Mapping[str, Facts] = {
        "queue": queue.health,
        "workers": cpu.health,
        "sites": sweeper.health,
        "disk": disk.health,
        **data.health,
        "descriptors": descriptors.health,
    }
    health = partial(_together, parts)
    site = front(
        config,
        reactor,
        lookup=lookup,
        tasks=queue,
        keeper=sweeper,
        admin=Administration(rows=rows, files=blobs, halt=queue.halt),
        blobs=blobs,
        uploads=uploads,
        kept=kept,
        in_thread=threads.run,
        health=health,
        meters=meters,
    )
    daemon = Staged(reactor)
    for child in (
        lag,
        descriptors,
        database,
        *data.before,
        blobs,
        cpu,
        Closing(fetcher.close),
        threads,
        writing,
        uploads,
        sweeper,
        disk,
        *tasks.services,
        queue,
        *([] if executor is None else [executor]),
    ):
        daemon.addService(child)
    if config.metrics is not None:
        from stackviz_deployer.tap.gauges import gauges  # noqa: PLC0415 - some parsers come with it

        for name, read in gauges(config, queue.health, cpu.health, health).items():
            meters.gauge(name, read)
        meters.gauge("reactor_lag_max_seconds", lambda: lag.max_s)
        named = Names(config.hosts).include
        page = MetricsSite(meters.snapshot, threads.run, reactor, named=named, meters=meters)
        daemon.addService(listening("metrics", config.metrics, page, reactor))
    daemon.addService(Closing(partial(leave, site)))
    for endpoint in config.http:
        daemon.addService(listening("http", endpoint, site, reactor))
    return daemon


def _together(parts: Mapping[str, Facts]) -> Mapping[str, Any]:
    """What each part says of itself, and of all of them what is wrong."""
    told = {name: health() for name, health in parts.items()}
    wrong = {
        key: [one for part in told.values() for one in part.get(key, ())] for key in ("reasons", "notes")
    }
    return {**told, **wrong}
