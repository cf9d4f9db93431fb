# SPDX-License-Identifier: Apache-2.0
"""The pattern of the route that a path belongs to: metrics and the access log take no raw paths."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from werkzeug.routing import Map

OTHER = "other"
STATIC = "static"
_VARIABLE = re.compile(r"<[^<>]+>")
# What the site mounts by the first piece of the path (see site.Root).
_MOUNTED = {b"s": "/s/<uuid>/", b"go": "/go/", b"css": STATIC, b"js": STATIC}
_PLAIN = {b"/": "/", b"/robots.txt": "/robots.txt"}


class Routes:
    """Patterns by path; there are no others than those of ``patterns``."""

    def __init__(self, mounted: Mapping[str, Map], unprefixed: Iterable[bytes]) -> None:
        """``mounted``: Klein's routes by their prefix; ``unprefixed``: what also goes without ``/api``."""
        self._plain = dict(_PLAIN)
        self._variable: list[tuple[re.Pattern[bytes], str]] = []
        self._unprefixed = frozenset(unprefixed)
        rules = [(prefix, rule.rule) for prefix, routes in mounted.items() for rule in routes.iter_rules()]
        for prefix, rule in rules:
            pattern = prefix + rule
            if _VARIABLE.search(pattern):
                parts = (re.escape(part) for part in _VARIABLE.split(pattern))
                self._variable.append((re.compile("[^/]+".join(parts).encode()), pattern))
            else:
                self._plain[pattern.encode()] = pattern

    @property
    def patterns(self) -> frozenset[str]:
        """All that ``of`` can answer."""
        variable = (pattern for _, pattern in self._variable)
        return frozenset((*self._plain.values(), *variable, *_MOUNTED.values(), OTHER))

    def of(self, path: bytes) -> str:
        """The pattern of ``path`` (without a query string)."""
        first = path[1:].partition(b"/")[0]
        if (mounted := _MOUNTED.get(first)) is not None:
            return mounted
        if first in self._unprefixed:
            path = b"/api" + path
        if (plain := self._plain.get(path) or self._plain.get(path.rstrip(b"/"))) is not None:
            return plain
        return next((pattern for regex, pattern in self._variable if regex.fullmatch(path)), OTHER)
