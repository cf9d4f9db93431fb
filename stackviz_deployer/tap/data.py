# SPDX-License-Identifier: Apache-2.0
"""Builds the parts that keep the sites' data, and what people send, where the configuration says."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from typing import Any

from attrs import Factory, frozen
from twisted.application.service import IService

from stackviz_deployer.blob_place import credentials
from stackviz_deployer.config import Config
from stackviz_deployer.errors import ConfigError, StoreError
from stackviz_deployer.interfaces import InThread
from stackviz_deployer.settings import Bucket
from stackviz_deployer.store.blobs import HELD_S, FileBlobStore
from stackviz_deployer.store.condemned import Condemned
from stackviz_deployer.store.database import Database
from stackviz_deployer.store.disk import DiskProbe
from stackviz_deployer.store.sharedblobs import SharedBlobStore
from stackviz_deployer.store.shareduploads import SharedUploads
from stackviz_deployer.store.uploads import UploadStore

TRY_S = 20.0

Health = Callable[[], Mapping[str, Any]]


@frozen(kw_only=True)
class DataPlace:
    """Services: ``before``, ``blobs``, ``uploads`` and ``disk`` start in this order, behind the database."""

    before: tuple[IService, ...] = ()
    blobs: Any
    """interfaces.BlobStore, and jobs.sweeper.KeptFiles."""
    uploads: Any
    """interfaces.Uploads."""
    disk: DiskProbe
    shared: bool
    """Whether other nodes may use it."""
    writable: Callable[[], None]
    """Raises StoreError while it is known that nothing can be stored."""
    health: Mapping[str, Health] = Factory(dict)
    """What /health tells besides."""


def data_place(config: Config, database: Database, in_thread: InThread, reactor: Any) -> DataPlace:
    """``in_thread``: for writing, started between ``blobs`` and ``uploads``.  Raises ConfigError."""
    state_dir, place, upload_bytes = config.state_dir, config.blobs, config.limits.upload_bytes
    if isinstance(place, Bucket):
        return _bucket(config, place, database, in_thread, reactor)
    disk = DiskProbe(state_dir, database, in_thread, reactor, data=place.path)
    if place.path is None:
        return DataPlace(
            blobs=FileBlobStore(state_dir, reactor, held_s=_held_s(config)),
            uploads=UploadStore(state_dir, in_thread, upload_bytes=upload_bytes, writable=disk.check),
            disk=disk,
            shared=False,
            writable=disk.check,
        )
    return DataPlace(
        blobs=SharedBlobStore(
            state_dir, place.path, Condemned(database, reactor), reactor, held_s=_held_s(config)
        ),
        uploads=SharedUploads(place.path, in_thread, reactor, upload_bytes=upload_bytes, writable=disk.check),
        disk=disk,
        shared=True,
        writable=disk.check,
    )


def _bucket(
    config: Config, place: Bucket, database: Database, in_thread: InThread, reactor: Any
) -> DataPlace:
    client = _client(place)
    # botocore is an extra, and takes a while to import
    from stackviz_deployer.store.s3blobs import S3BlobStore  # noqa: PLC0415
    from stackviz_deployer.store.s3calls import S3Calls  # noqa: PLC0415
    from stackviz_deployer.store.s3uploads import S3Uploads  # noqa: PLC0415

    state_dir, upload_bytes = config.state_dir, config.limits.upload_bytes
    disk = DiskProbe(state_dir, database, in_thread, reactor, data=state_dir)
    calls = S3Calls(client, reactor)
    local = UploadStore(state_dir, in_thread, upload_bytes=upload_bytes, writable=disk.check)

    def writable() -> None:
        disk.check()
        calls.check()

    return DataPlace(
        before=(calls,),
        blobs=S3BlobStore(
            state_dir,
            client,
            calls,
            Condemned(database, reactor),
            cache_bytes=place.cache_bytes,
            held_s=_held_s(config),
        ),
        uploads=S3Uploads(local, state_dir, client, calls, reactor, upload_bytes=upload_bytes),
        disk=disk,
        shared=True,
        writable=writable,
        health={"object_store": calls.health},
    )


def _held_s(config: Config) -> float:
    return max(HELD_S, 4 * config.limits.task_seconds)


def _client(place: Bucket) -> Any:
    """Raises ConfigError."""
    try:
        from stackviz_deployer.store.s3client import CONNECTIONS, S3Client  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            f"blobs.kind: s3 needs {error.name}; pip install 'stackviz-deployer[s3]'"
        ) from error
    key = credentials(place, os.environ)
    try:
        return S3Client(place, key, connections=CONNECTIONS)
    except StoreError as error:
        raise ConfigError(error.message) from error


def bucket_trouble(place: Bucket) -> str | None:
    """What is wrong with a bucket, tried as the daemon uses it; None when nothing is.  Blocking."""
    try:
        client = _client(place)
    except ConfigError as error:
        return error.message
    from stackviz_deployer.store.s3transport import Call  # noqa: PLC0415 - likewise

    call = Call()
    timer = threading.Timer(TRY_S, call.cut)
    timer.start()
    try:
        with call.current():
            client.try_all()
    except StoreError as error:
        return error.message
    finally:
        timer.cancel()
        client.close()
    return None
