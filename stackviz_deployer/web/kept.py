# SPDX-License-Identifier: Apache-2.0
"""What was answered lately and may be answered again, without asking a thread for it.

One select through a thread costs more CPU than all the rest of a small answer.  So answers that
are the same for all plain requests (see plain.py) are kept as they went out, and the rows of
artifacts beside them.  Both end with their task: the store tells when tasks end, and until it
is known which, nothing that is kept is given out.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from attrs import define, field

from stackviz_deployer.model import Artifact, ArtifactId, TaskId

MOST_BYTES = 16 << 20
"""Of all kept answers, those included that are let go of and still on their way to somebody."""
MOST_BODY = 1 << 20
"""Of one; a larger one is read from the disk each time."""
MOST_ARTIFACTS = 1024
_OVERHEAD = 2048
"""About what an answer takes besides its body."""


class Key(NamedTuple):
    """Which plain requests are answered alike; ``unchanged``: with the 304."""

    path: bytes
    as_gzip: bool
    secure: bool
    unchanged: bool


@define(eq=False)
class Answer:
    """A whole answer, but for its date and the request's id."""

    etag: bytes
    head: bytes = field(repr=False)
    """From the status line on; date, id and the empty line are to follow."""
    body: bytes = field(repr=False)
    status: int
    route: str
    task_id: TaskId | None = None
    used: Callable[[], None] | None = None
    """Tell that somebody looks at it."""
    cost: int = 0
    readers: int = 0
    """To whom it is on its way."""
    gone: bool = False


class Kept:
    """interfaces.Copies: answers and artifacts, of bounded size, the ones used longest ago first to go."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._answers: OrderedDict[Key, Answer] = OrderedDict()
        self._artifacts: OrderedDict[ArtifactId, Artifact] = OrderedDict()
        self._ending = 0
        self.generation = 0
        """What was asked for in an earlier one may be over by now: it is not kept."""
        self.bytes = 0

    def find(self, key: Key) -> Answer | None:
        """The answer to requests of this key."""
        answer = self._answers.get(key)
        if answer is None or self._ending:
            return None
        self._answers.move_to_end(key)
        return answer

    def has_room(self, body: int, generation: int) -> bool:
        """Whether an answer with a body of so many bytes would be kept now."""
        return not self._ending and generation == self.generation and self._make_room(body + _OVERHEAD)

    def keep(self, key: Key, answer: Answer, generation: int) -> bool:
        """Keep it, unless tasks have ended since ``generation``, or what cannot go is too much already.

        Bodies without a task are somebody else's who keeps them anyway, and do not count.
        """
        body = 0 if answer.task_id is None else len(answer.body)
        if body > MOST_BODY or not self.has_room(body, generation):
            return False
        self._drop(key)
        answer.cost = body + _OVERHEAD
        self.bytes += answer.cost
        self._answers[key] = answer
        return True

    def hold(self, answer: Answer) -> None:
        """It is on its way to somebody; its bytes count until ``release``."""
        answer.readers += 1

    def release(self, answer: Answer) -> None:
        """It has arrived, or its client has gone."""
        answer.readers -= 1
        if answer.gone and not answer.readers:
            self.bytes -= answer.cost

    def artifact(self, artifact_id: ArtifactId) -> Artifact | None:
        """The row of an artifact that is there."""
        found = None if self._ending else self._artifacts.get(artifact_id)
        if found is not None:
            self._artifacts.move_to_end(artifact_id)
        return found

    def keep_artifact(self, artifact: Artifact, generation: int) -> None:
        """Keep it, unless tasks have ended since ``generation``."""
        if self._ending or generation != self.generation:
            return
        self._artifacts[artifact.id] = artifact
        if len(self._artifacts) > MOST_ARTIFACTS:
            self._artifacts.popitem(last=False)

    @contextmanager
    def ending(self) -> Iterator[Callable[[Iterable[TaskId]], None]]:
        """See interfaces.Copies."""
        ended: frozenset[TaskId] | None = None

        def those(tasks: Iterable[TaskId]) -> None:
            nonlocal ended
            ended = frozenset(tasks)

        self._ending += 1
        self.generation += 1
        try:
            yield those
        finally:
            self._ending -= 1
            self.generation += 1
            self._end(ended)

    def _end(self, tasks: frozenset[TaskId] | None) -> None:
        """Let go of all that belongs to these; None: it is not known which ended, if any."""
        if tasks is not None and not tasks:
            return
        for key, answer in list(self._answers.items()):
            if answer.task_id is not None and (tasks is None or answer.task_id in tasks):
                self._drop(key)
        for artifact_id, artifact in list(self._artifacts.items()):
            if tasks is None or artifact.task_id in tasks:
                del self._artifacts[artifact_id]

    def _drop(self, key: Key) -> None:
        answer = self._answers.pop(key, None)
        if answer is not None:
            answer.gone = True
            if not answer.readers:
                self.bytes -= answer.cost

    def _make_room(self, size: int) -> bool:
        while self.bytes + size > self._most_bytes:
            # To let go of what is still being read would make no room.
            oldest = next((key for key, answer in self._answers.items() if not answer.readers), None)
            if oldest is None:
                return False
            self._drop(oldest)
        return True


def may_share(request: object, body: int) -> bool:
    """Whether a body of so many bytes may be read at once, since it would then be kept (see ``share``)."""
    asked: Callable[[int], bool] | None = getattr(request, "may_share", None)
    return asked is not None and asked(body)


def share(
    request: object,
    body: bytes,
    *,
    task_id: TaskId | None = None,
    used: Callable[[], None] | None = None,
) -> bool:
    """What ``request`` is about to answer is the same for all plain requests: keep it, if there is room.

    Its status and all headers are set, and none of it is written; ``body`` is whole (of a 304, b"").
    ``task_id``: whose end ends it; ``used``: called for each further answer.
    """
    keep: Callable[..., bool] | None = getattr(request, "share", None)
    return keep is not None and keep(body, task_id, used)
