# SPDX-License-Identifier: Apache-2.0
"""The definitions in Job Builder's YAML, and what they expand to.

Only what tells job names and scripts is read: ``job``, ``job-template``, ``job-group``, ``project``,
``builder``, ``defaults``.  Job Builder itself is no library to build upon (formats/jjb.md); its
rules of expansion are those of 1.x, checked against the job names that it makes of a real
configuration (tests/parsers/test_jjb.py).
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from attrs import frozen

MAX_JOBS = 100_000
MAX_SCRIPTS = 500
"""Of one job."""
_MAX_DEPTH = 20
_MAX_STEPS = 300_000
"""Combinations of parameters that are looked at."""
_MAX_NESTING = 100
_MAX_ALIASES = 2_000
_MAX_NODES = 500_000
"""Of one file, all three."""
_MAX_MERGED = 5_000
"""Entries that ``<<`` may bring into one mapping."""
_MAX_WARNINGS = 20
_DEFAULT_SHELL = "/bin/sh -xe"
"""What Jenkins takes for a script without ``#!``."""

_PLACEHOLDER = re.compile(r"\{(?:obj:)?([\w-]+)(?:\|([^{}]*))?\}")
_SCALAR = (str, int, float)
_KINDS = ("job", "job-template", "job-group", "project", "builder", "defaults")

_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # without libyaml: ten times slower


class _Unread:
    """In the place of what a ``!tag`` would bring: no tag opens a file here."""


class _Loader(_SafeLoader):  # type: ignore[misc]  # chosen at run time
    """Builds plain values.  Aliases are references and cost nothing; what multiplies is ``<<``."""

    def flatten_mapping(self, node: Any) -> None:
        super().flatten_mapping(node)
        if len(node.value) > _MAX_MERGED:
            raise yaml.YAMLError("'<<' makes a mapping too large")


_Loader.add_multi_constructor("!", lambda _loader, _suffix, _node: _Unread())
_Loader.add_multi_constructor("tag:", lambda _loader, _suffix, _node: _Unread())


@frozen
class Script:
    """One execution of a shell: one ``$`` line of the console."""

    label: str
    interpreter: str | None
    """``/bin/bash -xe``; None when the text is not here."""


class Definitions:
    """All that was defined, by kind and name; the first of equal names counts."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self._by_kind: dict[str, dict[str, dict[str, Any]]] = {kind: {} for kind in _KINDS}
        self._macros: dict[str, list[str | None]] = {}
        self._steps = 0

    def warn(self, sentence: str) -> None:
        if len(self.warnings) < _MAX_WARNINGS:
            self.warnings.append(sentence)

    def read(self, path: Path) -> None:
        """Take the definitions of one file; a broken one is told in ``warnings``."""
        try:
            data = path.read_bytes()
            _check(data)
            entries = yaml.load(data, Loader=_Loader)  # noqa: S506 - a SafeLoader
        except OSError as error:
            self.warn(f"{path.name}: cannot be read ({error.strerror}).")
            return
        except (yaml.YAMLError, ValueError, TypeError, RecursionError, OverflowError) as error:
            where = getattr(error, "problem_mark", None)
            line = f", line {where.line + 1}" if where is not None else ""
            what = getattr(error, "problem", None) or (str(error) or type(error).__name__).splitlines()[0]
            self.warn(f"{path.name}: not valid YAML ({what}{line}); its jobs are not known.")
            return
        for entry in entries if isinstance(entries, list) else ():
            for kind, body in entry.items() if isinstance(entry, dict) else ():
                if kind in self._by_kind and isinstance(body, dict) and isinstance(body.get("name"), str):
                    self._by_kind[kind].setdefault(body["name"], body)

    def runnable(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Jobs and job-templates."""
        yield from self._by_kind["job-template"].items()
        for name, body in self._by_kind["job"].items():
            if name not in self._by_kind["job-template"]:
                yield name, body

    def scripts(self, body: Mapping[str, Any], parameters: Mapping[str, Any] | None = None) -> list[Script]:
        """What a job or template runs, macros expanded; ``parameters`` fill in the names of macros."""
        scripts: list[Script] = []
        for builder in _list(body.get("builders", self._default("builders"))):
            name, value = _entry(builder)
            if parameters is not None:
                name = _fill(name, parameters) or name
            found = self._run(name, value, 0)
            if len(found) == 1:
                scripts.append(Script(name, found[0]))
            else:
                scripts += [Script(f"{name} ({n}/{len(found)})", i) for n, i in enumerate(found, 1)]
            if len(scripts) >= MAX_SCRIPTS:
                break
        return scripts[:MAX_SCRIPTS]

    def _run(self, name: str, value: Any, depth: int) -> list[str | None]:
        """Interpreters of the scripts of one builder."""
        macro = self._by_kind["builder"].get(name)
        if macro is None:
            return [_interpreter(value)] if name == "shell" else []
        if name not in self._macros:
            self._macros[name] = []  # also what it counts for inside itself
            found: list[str | None] = []
            for builder in _list(macro.get("builders")) if depth < _MAX_DEPTH else ():
                found += self._run(*_entry(builder), depth + 1)
                if len(found) >= MAX_SCRIPTS:
                    break
            self._macros[name] = found[:MAX_SCRIPTS]
        return self._macros[name]

    def expand(self) -> tuple[dict[str, str], dict[str, list[Script]]]:
        """Every real job name -> its template, a job's own name -> itself; and scripts of their own.

        The second is for jobs of templates with builders such as ``devstack-{name}-gate``.
        """
        jobs = {name: name for name in self._by_kind["job"]}
        own: dict[str, list[Script]] = {}
        for project in self._by_kind["project"].values():
            for template, parameters in self._jobs_of(project, project, ()):
                body = self._by_kind["job-template"][template]
                varies = any("{" in _entry(builder)[0] for builder in _list(body.get("builders")))
                for name, values in self._names(template, parameters):
                    if name not in jobs:
                        jobs[name] = template
                        if varies:
                            own[name] = self.scripts(body, values)
            if len(jobs) >= MAX_JOBS or self._steps >= _MAX_STEPS:
                self.warn(
                    f"More than {MAX_JOBS} jobs, or a multiple of that in combinations; not all are known."
                )
                break
        return jobs, own

    def _jobs_of(
        self, owner: Mapping[str, Any], parameters: Mapping[str, Any], within: tuple[str, ...]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Templates that a project or group names, each with its parameters."""
        for job in _list(owner.get("jobs")):
            self._steps += 1
            if self._steps > _MAX_STEPS:
                return
            name, own = _entry(job)
            merged = {**parameters, **(own if isinstance(own, dict) else {})}
            group = self._by_kind["job-group"].get(name)
            if name in self._by_kind["job"]:
                continue
            if group is not None:
                if name in within or len(within) >= _MAX_DEPTH:
                    self.warn(f"The job-group {name} contains itself.")
                    continue
                # a group overrides the project, but has no say in its name
                merged = {**merged, **group, "name": parameters.get("name")}
                yield from self._jobs_of(group, merged, (*within, name))
            elif name in self._by_kind["job-template"]:
                yield name, merged

    def _names(self, template: str, parameters: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        """The names that a template gets, and from what: lists for placeholders in its name multiply."""
        defaults = {**self._by_kind["defaults"].get("global", {}), **self._by_kind["job-template"][template]}
        axes: list[list[dict[str, Any]]] = []
        for key in dict.fromkeys(found[1] for found in _PLACEHOLDER.finditer(template)):
            value = parameters.get(key, defaults.get(key))
            if isinstance(value, list):
                axes.append([_axis(key, item) for item in value])
        excluded = [e for e in _list(parameters.get("exclude")) if isinstance(e, dict)]
        if math.prod(map(len, axes)) > MAX_JOBS:  # product() would hold each axis, and we each name
            return
        for combination in itertools.product(*axes):
            self._steps += 1
            if self._steps > _MAX_STEPS:
                return
            values = {**defaults, **parameters}
            for chosen in combination:
                values.update(chosen)
            if any(all(_same(values.get(k), v) for k, v in e.items()) for e in excluded):
                continue
            name = _fill(template, values)
            if name is not None:
                yield name, values

    def _default(self, key: str) -> Any:
        return self._by_kind["defaults"].get("global", {}).get(key)


def _check(data: bytes) -> None:
    """Refuse what would hurt: the loader recurses in C for each level, without a bound of its own."""
    depth = aliases = 0
    for events, event in enumerate(yaml.parse(data, Loader=_SafeLoader)):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.AliasEvent):
            aliases += 1
        if depth > _MAX_NESTING or aliases > _MAX_ALIASES or events > _MAX_NODES:
            raise yaml.YAMLError("nested too deeply, or too much in one file")


def _list(value: Any) -> Iterable[Any]:
    if isinstance(value, list):
        return value
    return () if value is None else (value,)


def _entry(value: Any) -> tuple[str, Any]:
    """``name`` or ``{name: parameters}``."""
    if isinstance(value, dict) and value:
        name = next(iter(value))
        return str(name), value[name]
    return (value, None) if isinstance(value, str) else ("", None)


def _axis(key: str, item: Any) -> dict[str, Any]:
    """One value of a list; ``{value: {more: parameters}}`` sets others with it."""
    if isinstance(item, dict) and item:
        name, more = _entry(item)
        return {key: name, **(more if isinstance(more, dict) else {})}
    return {key: item}


def _same(a: Any, b: Any) -> bool:
    """Whether two scalars are written alike; of structures an alias could make texts without end."""
    return isinstance(a, _SCALAR) and isinstance(b, _SCALAR) and str(a) == str(b)


def _fill(text: str, values: Mapping[str, Any]) -> str | None:
    """``text`` with its placeholders replaced, also those in the values; None if one is not known."""
    for _ in range(_MAX_DEPTH):
        missing = False

        def value_of(found: re.Match[str]) -> str:
            nonlocal missing
            value = values.get(found[1], found[2])
            if not isinstance(value, _SCALAR):
                missing = True
                return ""
            return str(value)

        filled = _PLACEHOLDER.sub(value_of, text)
        if missing or len(filled) > 1000:
            return None
        if filled == text:
            return text
        text = filled
    return None


def _interpreter(body: Any) -> str | None:
    """As Jenkins shows it: what follows ``#!``, else its own default; None if the text is not known."""
    if not isinstance(body, str) or body.lstrip().startswith("{"):
        return None
    first = body.partition("\n")[0]
    if not first.startswith("#!"):
        return _DEFAULT_SHELL
    interpreter = first[2:].strip()
    return None if "{" in interpreter else " ".join(interpreter.split())
