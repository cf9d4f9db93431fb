# SPDX-License-Identifier: Apache-2.0
"""Builds the parts that keep the sites' data, and what people send, where the configuration says."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from stackviz_deployer.config import Config
from stackviz_deployer.store.blobs import HELD_S, FileBlobStore
from stackviz_deployer.store.database import Database
from stackviz_deployer.store.disk import DiskProbe, InThread
from stackviz_deployer.store.sharedblobs import SharedBlobStore
from stackviz_deployer.store.shareduploads import SharedUploads
from stackviz_deployer.store.uploads import UploadStore


@frozen(kw_only=True)
class DataPlace:
    """Each is a service, to be started in this order, behind the database."""

    blobs: FileBlobStore
    uploads: UploadStore
    disk: DiskProbe
    shared: bool
    """Whether other nodes may use it."""


def data_place(config: Config, database: Database, in_thread: InThread, reactor: Any) -> DataPlace:
    """``in_thread``: for writing, started between ``blobs`` and ``uploads``."""
    held_s = max(HELD_S, 4 * config.limits.task_seconds)
    state_dir, path, upload_bytes = config.state_dir, config.blobs.path, config.limits.upload_bytes
    disk = DiskProbe(state_dir, database, in_thread, reactor, data=path)
    if path is None:
        return DataPlace(
            blobs=FileBlobStore(state_dir, reactor, held_s=held_s),
            uploads=UploadStore(state_dir, in_thread, upload_bytes=upload_bytes, writable=disk.check),
            disk=disk,
            shared=False,
        )
    return DataPlace(
        blobs=SharedBlobStore(state_dir, path, reactor, held_s=held_s),
        uploads=SharedUploads(path, in_thread, reactor, upload_bytes=upload_bytes, writable=disk.check),
        disk=disk,
        shared=True,
    )
