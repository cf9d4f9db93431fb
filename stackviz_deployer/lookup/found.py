# SPDX-License-Identifier: Apache-2.0
"""What the sources said, put together by change; and what is said of it in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attrs import frozen

from stackviz_deployer.errors import StackvizError
from stackviz_deployer.lookup.builds import CiBuild, merged
from stackviz_deployer.lookup.gerrit import GerritChange
from stackviz_deployer.lookup.query import ChangeQuery
from stackviz_deployer.lookup.results import (
    Subject,
    is_of,
    is_on,
    patchsets,
    subject_of_build,
    subject_of_change,
)
from stackviz_deployer.lookup.zuul import ZuulBuild
from stackviz_deployer.settings import GerritServer


@frozen(kw_only=True)
class Found:
    """A subject and its builds."""

    subject: Subject
    builds: list[CiBuild]


def by_change(
    changes: Sequence[GerritChange],
    builds: Sequence[ZuulBuild],
    gerrit: GerritServer | None,
    *,
    comments: bool = True,
) -> list[Found]:
    """Each change with its builds, those that only comments tell of included; then what only Zuul knows.

    With ``gerrit`` only what is on it.
    """
    found: list[Found] = []
    left = list(builds)
    for change in changes:
        own = [build for build in left if is_of(build, change)]
        left = [build for build in left if not is_of(build, change)]
        known, others = merged(change.builds, own)
        if comments or known:
            found.append(
                Found(subject=subject_of_change(change), builds=known + (others if comments else []))
            )
    rest: dict[Subject, list[ZuulBuild]] = {}
    for build in left:
        if gerrit is None or is_on(build, gerrit):
            rest.setdefault(subject_of_build(build), []).append(build)
    found.extend(Found(subject=subject, builds=merged((), own)[0]) for subject, own in rest.items())
    return found


def naming_all(failed: Sequence[StackvizError]) -> StackvizError:
    """The first of the errors; its message has those of the others, too."""
    first = failed[0]
    first.message = " ".join(once(error.message for error in failed))
    return first


def once(*messages: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(message for several in messages for message in several))


def nothing_yet(found: Found, query: ChangeQuery) -> str:
    """Why a change gives no entries, and where there are some."""
    number, patchset = found.subject.change, query.patchset
    known = patchsets(found.builds)
    what = f"Change {number}" if patchset is None else f"Patchset {patchset} of change {number}"
    where = f" on {found.subject.gerrit}" if found.subject.gerrit else ""
    if patchset is not None and known:
        others = ", ".join(str(one) for one in known[:20])
        return f"{what}{where} has no CI results; these patchsets have: {others}."
    return f"{what}{where} has no CI results yet."
