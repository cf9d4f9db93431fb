# SPDX-License-Identifier: Apache-2.0
"""Hostile inputs for every parser, for hours: ``python -m bench.fuzz [--minutes N] [TARGET...]``.

The targets and what must hold are those of tests/fuzz.  Inputs are led by coverage where atheris is
installed (``pip install -e '.[fuzz]'``), else they are only mutated.  Inputs that reached something new stay
in ``--keep`` for the next time.  What nothing declared is saved in ``--found``, one file for each
place in the code; a minimal form of it belongs into tests/fuzz/corpus/<target>/.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
INSTRUMENTED = ["stackviz_deployer.parsers", "stackviz_deployer.lookup", "stackviz_deployer.net", "multipart"]
RSS_MB = 1500
HANG_S = 30
"""Real time of one input, for what the limit of processor time does not end."""
TELL_S = 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("targets", nargs="*", help="default: all")
    parser.add_argument("--minutes", type=float, default=10.0, help="of all targets together")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=ROOT / "var" / "fuzz" / "corpus")
    parser.add_argument("--found", type=Path, default=ROOT / "var" / "fuzz" / "found")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        Child(args).run()
        return
    from tests.fuzz.targets import TARGETS

    names = args.targets or [target.name for target in TARGETS]
    unknown = set(names) - {target.name for target in TARGETS}
    if unknown:
        parser.error(
            f"no target {', '.join(sorted(unknown))}; there are {', '.join(t.name for t in TARGETS)}"
        )
    seconds = args.minutes * 60 * args.processes / len(names)
    print(f"{'target':16} {'tried':>10} {'a second':>9} {'kept':>6} {'found':>6}  ended with", flush=True)
    with ThreadPoolExecutor(args.processes) as pool:
        told = list(pool.map(lambda name: _spawn(args, name, seconds), names))
    print(f"{'all':16} {sum(one['tried'] for one in told):10,}", flush=True)
    sys.exit(any(one["found"] or one["status"] for one in told))


def _spawn(args: argparse.Namespace, name: str, seconds: float) -> dict[str, Any]:
    """One target in a process of its own."""
    from tests.fuzz.target import SCRATCH, memory

    keep = args.keep / name
    keep.mkdir(parents=True, exist_ok=True)
    (args.found / name).mkdir(parents=True, exist_ok=True)
    stats = args.found / f"{name}.json"
    stats.unlink(missing_ok=True)
    command = [
        sys.executable,
        "-m",
        "bench.fuzz",
        name,
        "--child",
        str(stats),
        "--minutes",
        str(seconds / 60),
    ]
    command += ["--keep", str(keep), "--found", str(args.found / name), "--seed", str(args.seed)]
    log_path = args.found / f"{name}.log"
    with log_path.open("wb") as log, tempfile.TemporaryDirectory(prefix="fuzz-", dir=memory()) as scratch:
        env = {**os.environ, SCRATCH: scratch}
        status = subprocess.run(command, cwd=ROOT, env=env, stdout=log, stderr=log, check=False).returncode
    told: dict[str, Any] = json.loads(stats.read_text()) if stats.exists() else {"tried": 0, "ends": {}}
    told["status"] = status
    told["found"] = sum(1 for _ in (args.found / name).iterdir())
    pace, kept = told["tried"] / seconds, sum(1 for _ in keep.iterdir())
    ends = ", ".join(f"{end} {count}" for end, count in sorted(told["ends"].items()))
    failed = f"  ENDED WITH {status}" if status else ""
    print(
        f"{name:16} {told['tried']:10,} {pace:9,.0f} {kept:6} {told['found']:6}  {ends}{failed}", flush=True
    )
    return told


class Child:
    """The process that tries one target."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self._atheris = _atheris()
        self._ends: dict[str, int] = {}
        self._tried = 0
        self._next = 0.0
        self._places: set[str] = set()

    def run(self) -> None:
        if self._atheris is not None:
            with self._atheris.instrument_imports(include=INSTRUMENTED):
                _import_all()
        from tests.fuzz import mutation
        from tests.fuzz.target import clean_up
        from tests.fuzz.targets import TARGETS

        self._target = next(target for target in TARGETS if target.name == self._args.targets[0])
        self._mutated = mutation.mutated
        self._max_bytes = mutation.MAX_BYTES
        self._seeds = list(self._target.corpus().values())
        self._words = self._target.words()
        try:
            if self._atheris is None:
                self._without_coverage()
            else:
                self._with_coverage(self._atheris)
        finally:
            self._tell()
            clean_up()

    def _with_coverage(self, atheris: ModuleType) -> None:
        seeds = self._args.keep
        for data in self._seeds:
            (seeds / hashlib.sha256(data).hexdigest()[:32]).write_bytes(data)
        options = [
            f"-max_total_time={max(1, int(self._args.minutes * 60))}",
            f"-rss_limit_mb={RSS_MB}",
            f"-timeout={HANG_S}",
            f"-max_len={self._max_bytes}",
            f"-artifact_prefix={self._args.found}/",
            f"-seed={self._args.seed % (1 << 31)}",
            str(seeds),
        ]
        atheris.Setup([sys.argv[0], *options], self.attempt, custom_mutator=self._mutate)
        atheris.Fuzz()

    def _mutate(self, data: bytes, max_size: int, seed: int) -> bytes:
        """Half of the inputs the way of tests/fuzz, half the library's, whose checksums are put right."""
        random = Random(seed)
        if seed % 2 or self._atheris is None:
            seeds = [data, data, random.choice(self._seeds)]
            return self._mutated(random, seeds, self._words, self._target.repair)[:max_size]
        made = bytearray(self._atheris.Mutate(data, max_size))
        if self._target.repair is not None and random.random() < 0.7:
            self._target.repair(made)
        return bytes(made[:max_size])

    def _without_coverage(self) -> None:
        random = Random(self._args.seed)
        end = time.monotonic() + self._args.minutes * 60
        while time.monotonic() < end:
            self.attempt(self._mutated(random, self._seeds, self._words, self._target.repair))

    def attempt(self, data: bytes) -> None:
        """Try one input; a finding is saved, and the search goes on."""
        try:
            end = self._target.attempt(data)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001  a finding is whatever nobody declared
            end = "UNHANDLED"
            self._save(error, data)
        self._tried += 1
        self._ends[end] = self._ends.get(end, 0) + 1
        if time.monotonic() > self._next:
            self._tell()

    def _save(self, error: BaseException, data: bytes) -> None:
        frames = traceback.extract_tb(error.__traceback__)
        place = (
            f"{type(error).__name__}-{'-'.join(f'{Path(f.filename).stem}{f.lineno}' for f in frames[-2:])}"
        )
        if place not in self._places:
            self._places.add(place)
            traceback.print_exception(error)
            (Path(self._args.found) / place).write_bytes(data)

    def _tell(self) -> None:
        self._next = time.monotonic() + TELL_S
        part = self._args.child.with_suffix(".part")
        part.write_text(json.dumps({"tried": self._tried, "ends": self._ends}))
        part.replace(self._args.child)


def _atheris() -> ModuleType | None:
    try:
        return import_module("atheris")
    except ImportError:
        return None


def _import_all(packages: Sequence[str] = ("stackviz_deployer.parsers", "stackviz_deployer.lookup")) -> None:
    for package in packages:
        for path in sorted((ROOT / package.replace(".", "/")).glob("[!_]*.py")):
            import_module(f"{package}.{path.stem}")
    import_module("stackviz_deployer.net.hosts")


if __name__ == "__main__":
    main()
