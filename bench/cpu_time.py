# SPDX-License-Identifier: Apache-2.0
"""CPU time of a process and its children, from /proc (Linux)."""

from __future__ import annotations

import os
from pathlib import Path


def _stat(pid: int) -> list[str]:
    # the fields after the command, which may hold spaces and brackets (proc(5))
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(") ")[2].split()


def children(pid: int) -> list[int]:
    """The pids below ``pid``, at any depth."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text(encoding="utf-8").split():
            found += [int(child), *children(int(child))]
    return found


def tree_cpu_s(pid: int) -> float:
    """User and system seconds of ``pid``, its living children and those it has waited for."""
    ticks = sum(int(x) for x in _stat(pid)[11:15])
    for child in children(pid):
        ticks += sum(int(x) for x in _stat(child)[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")
