# SPDX-License-Identifier: Apache-2.0
"""Job Builder YAML -> which scripts a job runs, in order.

Names come from a directory of ``*.yaml`` (formats/jjb.md).  Hundreds of files take
seconds to read, so what is wanted of them, two small tables, is kept as JSON under a name
made of the files' names, sizes and times: whoever comes first makes it, behind a lock.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
from attrs import Factory, frozen

from stackviz_deployer.model import ParseRequest, ParseResult

if TYPE_CHECKING:
    from stackviz_deployer.parsers.jjb_yaml import Script

FORM = 1
"""Of the index file; part of its name."""
MAX_FILES = 5_000
MAX_FILE_BYTES = 8 << 20
_KEPT_INDEXES = 3
_MAX_JOB_NAME_CHARS = 300

_cache: dict[str, tuple[str, Index]] = {}


@frozen
class Match:
    """The template that a console is from."""

    template: str
    labels: tuple[str, ...]
    """Of its scripts, in the order in which they run: ``macro``, ``macro (2/4)``, ``shell``."""
    consistent: bool
    """Whether the scripts that ran have the template's interpreters, as far as both are known."""


@frozen
class Index:
    """What was read out of a directory of YAML."""

    templates: dict[str, list[list[str | None]]]
    """Template or plain job -> [label, interpreter or None] of each script."""
    jobs: dict[str, str]
    """Real job name -> template (or itself)."""
    own: dict[str, list[list[str | None]]] = Factory(dict)
    """Scripts of real jobs whose template takes the name of a macro from a parameter."""
    warnings: tuple[str, ...] = ()

    def match(
        self, job: str | None, *, printed: str | None = None, interpreters: Sequence[str | None] = ()
    ) -> Match | None:
        """The template of ``job``: the printed one, the one that expands to it, or the likeliest.

        ``printed`` is what ``JJB template:`` says, ``interpreters`` those of the scripts that ran.
        """
        if printed in self.templates:
            return self._match(printed, interpreters, job)
        if job is None or len(job) > _MAX_JOB_NAME_CHARS:
            return None
        if job in self.jobs:
            return self._match(self.jobs[job], interpreters, job)
        candidates = [name for name in self.templates if _fits(job, name)]
        candidates.sort(key=_likelihood)
        matches = [self._match(name, interpreters) for name in candidates]
        return next((match for match in matches if match.consistent), matches[0] if matches else None)

    def _match(self, template: str, interpreters: Sequence[str | None], job: str | None = None) -> Match:
        scripts = self.templates[template]
        if job in self.own and self.jobs[job] == template:
            scripts = self.own[job]
        agree = all(
            ran is None or wanted is None or ran == wanted
            for ran, (_, wanted) in zip(interpreters, scripts, strict=False)
        )
        labels = tuple(str(label) for label, _ in scripts)
        return Match(template, labels, agree and len(interpreters) <= len(scripts))


def parse(request: ParseRequest) -> ParseResult:
    """``jjb``: makes the index ready, so that the first console need not wait for it.

    No inputs.  Options: ``jjb_yaml_path``, ``jjb_cache_dir``.  Gives ``{"templates": n, "jobs": n}``.
    """
    index = load(request.options["jjb_yaml_path"], request.options.get("jjb_cache_dir"))
    return ParseResult(
        data={"templates": len(index.templates), "jobs": len(index.jobs)}, warnings=index.warnings
    )


def load(yaml_path: str, cache_dir: str | None = None) -> Index:
    """The index of a directory (or one file) of YAML as it is now; never fails.

    Files that are missing, too large or broken are told in ``warnings``.  Without a ``cache_dir``,
    or if it cannot be used, the index lives only in this process.
    """
    try:
        files = _files(Path(yaml_path))
    except OSError as error:
        name = Path(yaml_path).name
        problem = f"{name}: Job Builder's YAML (jjb_yaml_path) cannot be read: {error.strerror}."
        return Index({}, {}, {}, (problem,))
    signature = _signature(files)
    known = _cache.get(yaml_path)
    if known is not None and known[0] == signature:
        return known[1]
    index = _shared(files, signature, Path(cache_dir)) if cache_dir else _build(files)
    _cache.clear()  # one directory is configured; another one is a test or a new configuration
    _cache[yaml_path] = (signature, index)
    return index


def _files(where: Path) -> list[tuple[Path, os.stat_result]]:
    """As Job Builder chooses them: directly inside, not below."""
    if where.is_file():
        return [(where, where.stat())]
    found = [
        (Path(entry.path), entry.stat())
        for entry in os.scandir(where)
        if entry.name.endswith((".yaml", ".yml")) and entry.is_file()
    ]
    return sorted(found, key=lambda item: item[0].name)


def _signature(files: Sequence[tuple[Path, os.stat_result]]) -> str:
    facts = [[str(path), stat.st_size, stat.st_mtime_ns] for path, stat in files]
    return hashlib.sha256(orjson.dumps([FORM, facts])).hexdigest()[:32]


def _shared(files: Sequence[tuple[Path, os.stat_result]], signature: str, cache_dir: Path) -> Index:
    path = cache_dir / f"jjb-{signature}.json"
    index = _read(path)
    if index is not None:
        return index
    try:
        with _locked(cache_dir):
            index = _read(path)  # another worker may have made it while we waited
            if index is None:
                index = _build(files)
                _store(index, path)
    except OSError:
        index = index or _build(files)
    return index


@contextmanager
def _locked(cache_dir: Path) -> Iterator[None]:
    cache_dir.mkdir(parents=True, exist_ok=True)
    with (cache_dir / "jjb.lock").open("ab") as lock:  # closing it unlocks, also when we are killed
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _read(path: Path) -> Index | None:
    try:
        data = orjson.loads(path.read_bytes())
        return Index(data["templates"], data["jobs"], data["own"], tuple(data["warnings"]))
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError):
        return None


def _store(index: Index, path: Path) -> None:
    data = {
        "templates": index.templates,
        "jobs": index.jobs,
        "own": index.own,
        "warnings": index.warnings,
    }
    file, name = tempfile.mkstemp(dir=path.parent, prefix="jjb-", suffix=".new")
    with os.fdopen(file, "wb") as out:
        out.write(orjson.dumps(data))
    Path(name).replace(path)
    old = sorted(path.parent.glob("jjb-*.json"), key=lambda p: p.stat().st_mtime_ns)[:-_KEPT_INDEXES]
    for stale in [*old, *path.parent.glob("jjb-*.new")]:
        stale.unlink(missing_ok=True)


def _build(files: Sequence[tuple[Path, os.stat_result]]) -> Index:
    # yaml takes longer to import than an index to read
    from stackviz_deployer.parsers import jjb_yaml  # noqa: PLC0415

    definitions = jjb_yaml.Definitions()
    for path, stat in files[:MAX_FILES]:
        if stat.st_size > MAX_FILE_BYTES:
            definitions.warnings.append(f"{path.name}: larger than {MAX_FILE_BYTES >> 20} MiB, left out.")
            continue
        definitions.read(path)
    if len(files) > MAX_FILES:
        definitions.warnings.append(f"{files[0][0].parent}: only the first {MAX_FILES} files were read.")
    templates = {name: _table(definitions.scripts(body)) for name, body in definitions.runnable()}
    jobs, own = definitions.expand()
    return Index(
        templates,
        jobs,
        {name: _table(scripts) for name, scripts in own.items()},
        tuple(definitions.warnings),
    )


def _table(scripts: Sequence[Script]) -> list[list[str | None]]:
    return [[script.label, script.interpreter] for script in scripts]


def _literals(template: str) -> list[str]:
    """``gate-{name}-pep8`` -> ``["gate-", "-pep8"]``."""
    parts = template.split("{")
    return [parts[0], *(part.partition("}")[2] for part in parts[1:])]


def _fits(job: str, template: str) -> bool:
    """Whether ``job`` is ``template`` with something (or nothing) for each placeholder; linear time."""
    literals = _literals(template)
    if len(literals) == 1:
        return job == template
    first, *middle, last = literals
    if not (job.startswith(first) and job.endswith(last) and len(job) >= len(first) + len(last)):
        return False
    at, end = len(first), len(job) - len(last)
    for literal in middle:
        at = job.find(literal, at, end)
        if at < 0:
            return False
        at += len(literal)
    return True


def _likelihood(template: str) -> tuple[int, int, str]:
    """Sorts the best first: fewest placeholders, then most text of its own."""
    literals = _literals(template)
    return len(literals), -sum(map(len, literals)), template
