# SPDX-License-Identifier: Apache-2.0
"""A process to kill: ``python -m tests.store.victim STATE_DIR SEED`` works on tasks until it dies.

It starts as the daemon does (requeue, sweep), then makes tasks, claims them, and finishes
or cancels them with blobs of a few blocks.  What it was told is done it prints, a line each,
before it goes on: ``created ID`` and ``ended ID STATE``.
"""

import random
import sys
import time
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults

from stackviz_deployer.errors import StackvizError
from stackviz_deployer.model import TaskId
from stackviz_deployer.store.blobs import FileBlobStore
from stackviz_deployer.store.retention import SqlRetention
from stackviz_deployer.store.sqlite import SqliteDatabase
from stackviz_deployer.store.task_store import SqlTaskStore
from tests.store.building import a_job, a_parsed, write_block_gzip


def say(*words: str) -> None:
    sys.stdout.write(" ".join(words) + "\n")
    sys.stdout.flush()


async def scrape(tasks: SqlTaskStore, blobs: FileBlobStore, dice: random.Random) -> None:
    url = f"https://logs.example.org/{dice.randrange(50)}/"
    task, _ = await tasks.create(a_job(url=url), cancel_hash="0", force=dice.random() < 0.5, queue_limit=100)
    say("created", task.id)
    claimed = await tasks.claim()
    if claimed is None:
        return
    async with blobs.scratch() as directory:
        made = []
        for n in range(dice.randrange(1, 4)):
            path = directory / f"{n}.gz"
            text = dice.randbytes(dice.randrange(1, 2000))
            index = write_block_gzip(path, [b"%d\n" % dice.randrange(20), text])
            made.append((a_parsed(path.name), await blobs.put(path, index)))
        if dice.random() < 0.2:
            ended = await tasks.cancel(TaskId(claimed.id))
        else:
            ended = await tasks.finish(claimed, claimed.job, made, [])
    say("ended", ended.id, ended.state)


def now_ms() -> int:
    return int(time.time() * 1000)


async def work(state_dir: Path, seed: int) -> None:
    database = SqliteDatabase(state_dir / "stackviz.sqlite3", reactor)
    blobs = FileBlobStore(state_dir, reactor)
    database.startService()
    blobs.startService()
    tasks = SqlTaskStore(database, now_ms)
    await tasks.requeue()
    await blobs.sweep(await SqlRetention(database, now_ms).blob_hashes())
    dice = random.Random(seed)
    say("ready")
    while True:
        await gatherResults([Deferred.fromCoroutine(scrape(tasks, blobs, dice)) for _ in range(4)])


def main() -> None:
    working = Deferred.fromCoroutine(work(Path(sys.argv[1]), int(sys.argv[2])))
    working.addErrback(lambda failure: (failure.trap(StackvizError), say("failed", str(failure))))
    reactor.run()


if __name__ == "__main__":
    main()
