# SPDX-License-Identifier: Apache-2.0
"""What the tests of the store are made of: a running Database on a real file, jobs, blobs."""

import gzip
import json
import struct
import zlib
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import maybeDeferred
from twisted.trial.unittest import TestCase

from stackviz_deployer.model import BlobHash, BlobRef, Job, ParsedArtifact
from stackviz_deployer.store.blobs import FileBlobStore
from stackviz_deployer.store.condemned import Condemned
from stackviz_deployer.store.mysql import MysqlDatabase
from stackviz_deployer.store.retention import SqlRetention
from stackviz_deployer.store.sqlite import SqliteDatabase
from stackviz_deployer.store.task_store import SqlTaskStore
from tests import mariadb


class Ticks:
    """A clock that moves on by one millisecond whenever it is read."""

    def __init__(self, now: int = 1_000) -> None:
        self.now = now

    def __call__(self) -> int:
        self.now += 1
        return self.now


class StoreTestCase(TestCase):
    """Has a state directory; what ``start`` started is stopped at the end."""

    timeout = 60

    def setUp(self) -> None:
        self.state_dir = Path(self.mktemp())
        self.state_dir.mkdir()
        self.path = self.state_dir / "stackviz.sqlite3"
        self.shared = None

    def start(self, service):
        service.startService()
        self.addCleanup(lambda: maybeDeferred(service.stopService) if service.running else None)
        return service

    def database(self, **kw) -> SqliteDatabase:
        return self.start(SqliteDatabase(self.path, reactor, **kw))

    def tasks(self) -> SqlTaskStore:
        """And ``rows``, their retention, over ``opened``."""
        self.clock = Ticks()
        self.opened = database = self.database()
        self.rows = SqlRetention(database, self.clock)
        return SqlTaskStore(database, self.clock)

    def condemned(self) -> Condemned:
        """A node's view of the database that all nodes of this test share."""
        if self.shared is None:
            self.shared = self.database()
        return Condemned(self.shared, reactor)

    async def pass_time(self, by_s: float) -> None:
        """All that is condemned has been for so much longer."""
        await self.shared.write(backdate, int(by_s * 1000))

    async def name(self, *blobs: BlobRef) -> None:
        """A task of the shared database ends with these."""
        store = SqlTaskStore(self.shared, Ticks())
        made = [(a_parsed(blob.hash), blob) for blob in blobs]
        task, _ = await store.create(a_job(), cancel_hash="0", force=True, queue_limit=10)
        await store.finish(await store.begin(task.id, "a"), task.job, made, [])

    def blobs(self) -> FileBlobStore:
        return self.start(FileBlobStore(self.state_dir, reactor))


def backdate(txn, by_ms):
    txn.execute("UPDATE condemned SET since_ms = since_ms - ?, removing_ms = removing_ms - ?", (by_ms, by_ms))


class OnMysql:
    """Mixed into a StoreTestCase: the same, over a database of a real server."""

    def setUp(self) -> None:
        self.server = mariadb.shared().database()
        super().setUp()

    def database(self, **kw) -> MysqlDatabase:
        return self.start(MysqlDatabase(self.server, reactor, **kw))


async def counts(database) -> dict[str, int]:
    """How many tasks of each state there are."""
    return await database.read(_counts)


def _counts(txn) -> dict[str, int]:
    return dict(txn.execute("SELECT state, COUNT(*) FROM tasks GROUP BY state").fetchall())


def a_job(n: int = 1, **kw) -> Job:
    return Job(**{"url": f"https://logs.example.org/{n}/", "name": f"gate-{n}", **kw})


def a_parsed(name: str = "testrepository.subunit", **kw) -> ParsedArtifact:
    return ParsedArtifact(
        **{
            "artifact_type": "subunit",
            "artifact_name": name,
            "content_type": "application/json",
            "primary": True,
            "path": "/nowhere",
            "meta": {"count": 3},
            **kw,
        }
    )


def a_blob(n: int = 1, **kw) -> BlobRef:
    return BlobRef(**{"hash": BlobHash(f"{n:064x}"), "size": n, **kw})


def write_block_gzip(path: Path, texts: list[bytes]) -> Path:
    """A block gzip file of one block a text, and its index; the index's path.

    Written without parsers.blockgzip, from the form's description (../shared/design.md, section 5).
    """
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    out = bytearray(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff")
    blocks = []
    for n, text in enumerate(texts):
        slice_ = deflate.compress(text) + deflate.flush(zlib.Z_FULL_FLUSH)
        blocks.append([len(out), len(slice_), len(text), zlib.crc32(text), n, None])
        out += slice_
    plain = b"".join(texts)
    out += deflate.flush(zlib.Z_FINISH) + struct.pack("<II", zlib.crc32(plain), len(plain))
    path.write_bytes(out)
    index = path.with_name(path.name + ".blocks")
    document = {"version": 1, "unit": "line", "plain_size": len(plain), "blocks": blocks}
    index.write_bytes(gzip.compress(json.dumps(document).encode(), mtime=0))
    return index
