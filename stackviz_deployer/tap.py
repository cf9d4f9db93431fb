# SPDX-License-Identifier: Apache-2.0
"""``twistd stackviz-deployer``: its options, and the one place that builds concrete objects."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred
from twisted.python import usage

from stackviz_deployer import __version__
from stackviz_deployer.allocation import keep_little
from stackviz_deployer.clock import Elapsed, now_ms, run_steadily
from stackviz_deployer.config import DEFAULT_HTTP, DEFAULT_JJB, Config, admin_token, load, stated_limits
from stackviz_deployer.errors import ConfigError
from stackviz_deployer.model import Job


class Options(usage.Options):
    """What ``twistd stackviz-deployer --help`` shows."""

    longdesc = (
        "Look up OpenStack CI jobs, scrape them and serve a StackViz site for each run. "
        "Everything else is set in the configuration file; etc/stackviz-deployer.yaml shows all keys."
    )
    optParameters = [  # noqa: RUF012 - Twisted's way to declare options
        ["config", None, None, "YAML configuration file (default: none, every key has a default)"],
        [
            "state-dir",
            None,
            None,
            "Directory of database, blobs and temporary files (default: $STATE_DIRECTORY, else ./var)",
        ],
        [
            "stackviz",
            None,
            None,
            "StackViz build directory, or http:// URL of its development server (default: built-in viewer)",
        ],
        [
            "jjb-yaml-path",
            None,
            None,
            f"Job Builder's YAML, to name consoles' scripts (default: $JJB_YAML_PATH, else ./{DEFAULT_JJB})",
        ],
        [
            "migrate-from",
            None,
            None,
            "Copy a single node's tasks and blobs from this state directory into what nodes share, then exit",
        ],
        ["role", None, None, "What this node does: web, worker, or all of it (default: all)"],
    ]
    optFlags = [  # noqa: RUF012 - likewise
        [
            "check",
            None,
            "Say whether the configuration and what it names can be used, then exit (status 0 or 1)",
        ],
    ]
    config: Config

    def __init__(self) -> None:
        super().__init__()
        self._http: list[str] = []

    def opt_http(self, endpoint: str) -> None:
        self._http.append(endpoint)

    opt_http.__doc__ = (
        f"Where to listen: a Twisted server endpoint description; may be given several times "
        f"(default: {DEFAULT_HTTP})"
    )

    def opt_version(self) -> None:
        """Show the version and exit."""
        print(f"stackviz-deployer {__version__}")  # noqa: T201 - what the option is for
        raise SystemExit(0)

    def postOptions(self) -> None:
        """Read the configuration; what is wrong with it ends twistd with a message and status 1."""
        given: dict[str, Any] = {
            "http": self._http or None,
            "state_dir": self["state-dir"],
            "stackviz": self["stackviz"],
            "jjb_yaml_path": self["jjb-yaml-path"],
            "role": self["role"],
        }
        try:
            self.config = load(self["config"], given, os.environ)
        except ConfigError as error:
            raise usage.UsageError(error.message) from error
        if self["check"]:
            raise SystemExit(_check(self.config))  # before twistd looks for a pid file or goes away
        if self["migrate-from"] is not None:
            raise SystemExit(_move(self.config, Path(self["migrate-from"]).expanduser().absolute()))


def _check(config: Config) -> int:
    from twisted.internet import reactor  # noqa: PLC0415 - it does not run

    from stackviz_deployer.check import Means, check, report  # noqa: PLC0415
    from stackviz_deployer.check_shared import shared  # noqa: PLC0415
    from stackviz_deployer.cpu import COMMAND  # noqa: PLC0415
    from stackviz_deployer.data_place import bucket_trouble  # noqa: PLC0415
    from stackviz_deployer.net.guard import AddressGuard  # noqa: PLC0415
    from stackviz_deployer.net.own import is_among  # noqa: PLC0415
    from stackviz_deployer.store.migrate import load as migrations  # noqa: PLC0415
    from stackviz_deployer.web.listen import examine  # noqa: PLC0415

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


def _move(config: Config, state_dir: Path) -> int:
    from twisted.internet import reactor  # noqa: PLC0415 - which runs here, and ends with the move

    from stackviz_deployer.data_place import data_place  # noqa: PLC0415
    from stackviz_deployer.errors import StoreError  # noqa: PLC0415
    from stackviz_deployer.moving import Mover, check_target, run  # noqa: PLC0415
    from stackviz_deployer.store.onenode import OneNode  # noqa: PLC0415
    from stackviz_deployer.task_place import task_database  # noqa: PLC0415
    from stackviz_deployer.web.blobs import FileThreads  # noqa: PLC0415

    say = partial(print, flush=True)
    source = OneNode(state_dir)
    try:
        check_target(state_dir, config.database, config.blobs)
        source.open()
        database = task_database(config, reactor, Elapsed())
        unused = FileThreads(cast("Any", reactor))  # of uploads, which do not come here
        data = data_place(config, database, unused.run, reactor)
        mover = Mover(source, database, data.blobs, say)
        return run(reactor, (database, *data.before, data.blobs), mover, say)
    except ImportError as error:
        say(f"error: {error}: pip install 'stackviz-deployer[cluster]'")
        return 1
    except (ConfigError, StoreError) as error:
        say(f"error: {error.message}")
        return 1
    finally:
        source.close()


def makeService(options: Options) -> IService:
    """The daemon, not yet started."""
    from twisted.internet import reactor  # noqa: PLC0415 - the global reactor enters here and nowhere else

    keep_little()
    run_steadily(reactor)
    from stackviz_deployer.descriptors import provided  # noqa: PLC0415 - logs

    try:
        return build(provided(options.config), reactor)
    except ConfigError as error:
        raise SystemExit(f"stackviz-deployer: {error.message}") from error


def build(config: Config, reactor: Any) -> IService:
    """Every part of the daemon, in the order in which they start (they stop the other way round).

    ``reactor`` is the real one.  Raises ConfigError.
    """
    # Klein installs the reactor when it is imported, which must not happen while options are read.
    from stackviz_deployer.cpu import WorkerPool  # noqa: PLC0415
    from stackviz_deployer.data_place import data_place  # noqa: PLC0415
    from stackviz_deployer.doors import DescriptorWatch  # noqa: PLC0415
    from stackviz_deployer.jobs.admin import Administration  # noqa: PLC0415
    from stackviz_deployer.jobs.epilogue import Epilogue  # noqa: PLC0415
    from stackviz_deployer.jobs.executor import Executor  # noqa: PLC0415
    from stackviz_deployer.jobs.pipeline import Pipeline  # noqa: PLC0415
    from stackviz_deployer.jobs.queue import JobQueue  # noqa: PLC0415
    from stackviz_deployer.jobs.sweeper import SHARED_TIDY_S, TIDY_S, Sweeper  # noqa: PLC0415
    from stackviz_deployer.jobs.uploads import UploadOpener, sweep  # noqa: PLC0415
    from stackviz_deployer.listing.job import JobListing  # noqa: PLC0415
    from stackviz_deployer.lookup.service import LookupService  # noqa: PLC0415
    from stackviz_deployer.metrics.lag import LagProbe  # noqa: PLC0415
    from stackviz_deployer.metrics.meters import PrometheusMeters  # noqa: PLC0415
    from stackviz_deployer.metrics.page import MetricsSite  # noqa: PLC0415
    from stackviz_deployer.net.fetch import HttpFetcher  # noqa: PLC0415
    from stackviz_deployer.net.own import is_own_endpoint  # noqa: PLC0415
    from stackviz_deployer.scrapers import SCRAPERS  # noqa: PLC0415
    from stackviz_deployer.service import Staged  # noqa: PLC0415
    from stackviz_deployer.store.retention import SqlRetention  # noqa: PLC0415
    from stackviz_deployer.store.task_store import SqlTaskStore  # noqa: PLC0415
    from stackviz_deployer.task_place import shared_out, task_database  # noqa: PLC0415
    from stackviz_deployer.web.admin import AdminApi  # noqa: PLC0415
    from stackviz_deployer.web.api import Api  # noqa: PLC0415
    from stackviz_deployer.web.blobs import FileThreads  # noqa: PLC0415
    from stackviz_deployer.web.clients import Clients  # noqa: PLC0415
    from stackviz_deployer.web.health import Health  # noqa: PLC0415
    from stackviz_deployer.web.kept import Kept  # noqa: PLC0415
    from stackviz_deployer.web.names import Names  # noqa: PLC0415
    from stackviz_deployer.web.site import make_site  # noqa: PLC0415
    from stackviz_deployer.web.static import packaged_public  # noqa: PLC0415
    from stackviz_deployer.web.throttle import Throttle  # noqa: PLC0415
    from stackviz_deployer.web.upload import Reception  # noqa: PLC0415

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
    tasks = shared_out(config, reactor, store=store, kept=kept, writable=data.writable)
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
    clients, names = Clients(config.proxies), Names(config.hosts)
    throttle = Throttle(config.rates, clients=clients, clock=reactor, meters=meters)
    reception = Reception(
        uploads,
        config.limits.upload_bytes,
        clients=clients,
        throttle=throttle,
        clock=reactor,
        meters=meters,
        serves=config.role != "worker",
    )

    def probe() -> Mapping[str, Any]:
        parts = {
            "queue": queue.health(),
            "workers": cpu.health(),
            "sites": sweeper.health(),
            "disk": disk.health(),
            **{name: health() for name, health in data.health.items()},
            "descriptors": descriptors.health(),
        }
        told = {
            key: [one for part in parts.values() for one in part.get(key, ())] for key in ("reasons", "notes")
        }
        return {**parts, **told}

    token = admin_token(config.admin_token_file, os.environ)
    admin = None
    if token is not None:
        administration = Administration(rows=rows, files=blobs, halt=queue.halt)
        admin = AdminApi(admin=administration, token=token, clients=clients, clock=reactor, meters=meters)
    site = make_site(
        api=Api(
            lookup=lookup,
            tasks=queue,
            keeper=sweeper,
            blobs=blobs,
            reception=reception,
            in_thread=threads.run,
            clock=reactor,
            version=__version__,
            clients=clients,
            throttle=throttle,
            meters=meters,
            kept=kept,
            event_streams=config.connections.events,
        ),
        health=Health(version=__version__, probe=probe),
        admin=admin,
        tasks=queue,
        reception=reception,
        health_alone=config.role == "worker",
        public=packaged_public(),
        stackviz=config.stackviz,
        reactor=reactor,
        meters=meters,
        access_log=config.access_log,
        clients=clients,
        connections=config.connections,
        names=names,
        cors=config.cors,
        kept=kept,
    )
    daemon = Staged(reactor)
    for child in (
        lag,
        descriptors,
        database,
        *data.before,
        blobs,
        cpu,
        _Closing(fetcher),
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
        for name, read in _gauges(config, queue.health, cpu.health, probe).items():
            meters.gauge(name, read)
        meters.gauge("reactor_lag_max_seconds", lambda: lag.max_s)
        page = MetricsSite(meters.snapshot, threads.run, reactor, named=names.include, meters=meters)
        daemon.addService(_listening("metrics", config.metrics, page, reactor))
    for endpoint in config.http:
        daemon.addService(_listening("http", endpoint, site, reactor))
    return daemon


def _listening(key: str, endpoint: str, site: Any, reactor: Any) -> IService:
    """Raises ConfigError."""
    from stackviz_deployer.web.listen import listening  # noqa: PLC0415 - TLS is imported with the rest

    try:
        return listening(endpoint, site, reactor)
    except LookupError as error:
        raise ConfigError(f"{key}: {endpoint!r} needs a socket that systemd hands over; none came") from error
    except (ValueError, TypeError) as error:  # TypeError: too many parts, or one of an unknown name
        raise ConfigError(f"{key}: {endpoint!r} is no endpoint description ({error})") from error


Facts = Callable[[], Mapping[str, Any]]


def _gauges(config: Config, queue: Facts, cpu: Facts, health: Facts) -> dict[str, Callable[[], Any]]:
    """What is asked at each reading of the metrics; nothing of it waits."""
    from stackviz_deployer.limits import counted_limits, told_limits  # noqa: PLC0415 - Klein, and parsers

    def workers() -> Mapping[str, float]:
        facts = cpu()
        return {"wanted": facts["processes"], "ready": facts["ready"], "busy": facts["busy"]}

    def used() -> Mapping[str, float]:
        facts = health()["sites"]
        return {"blobs": facts["blob_bytes"], "files": facts["file_bytes"]}

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
        "degraded": lambda: len(health()["reasons"]),
    }


class _Closing(Service):
    """Closes the fetcher's connections when its turn comes."""

    def __init__(self, fetcher: Any) -> None:
        self._fetcher = fetcher

    def stopService(self) -> Deferred[None]:
        super().stopService()
        return Deferred.fromCoroutine(self._fetcher.close())
