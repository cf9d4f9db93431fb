# SPDX-License-Identifier: Apache-2.0
"""A bounded run of the hostile inputs: seeds, former findings, and thousands of changed ones.

The same inputs on every machine.  ``bench/fuzz.py`` tries millions.
"""

import hashlib
from collections.abc import Callable
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from tests.fuzz.mutation import mutated
from tests.fuzz.target import CORPUS, DICTIONARIES, Target, clean_up
from tests.fuzz.targets import TARGETS

INPUTS = {"subunit_v1": 500, "subunit_v2": 800}
"""Readers that take milliseconds for an input, ..."""
MOST = 1500
"""... and the others; some 30 s in all on one core."""


class HostileTests(SynchronousTestCase):
    """Nothing but declared errors, within bounds; no promise of tests/fuzz/oracle.py is broken."""

    def tearDown(self) -> None:
        clean_up()

    def attempt(self, target: Target, data: bytes, what: str) -> None:
        try:
            target.attempt(data)
        except BaseException as error:
            error.add_note(f"target {target.name}, {what}: {data[:2000]!r}")
            raise

    def test_every_reader_has_a_corpus(self) -> None:
        folders = {path.name for path in CORPUS.iterdir() if path.is_dir()}
        self.assertEqual(folders, {target.name for target in TARGETS})

    def test_every_dictionary_is_read(self) -> None:
        there = {path.stem for path in DICTIONARIES.glob("*.dict")}
        self.assertEqual(there, {name for target in TARGETS for name in target.dictionaries})
        for target in TARGETS:
            self.assertGreater(len(target.words()), 4, target.name)

    def try_target(self, target: Target) -> None:
        seeds = target.corpus()
        for name, data in seeds.items():
            self.attempt(target, data, name)
        random = Random(int.from_bytes(hashlib.sha256(target.name.encode()).digest()[:8], "big"))
        words = target.words()
        for number in range(INPUTS.get(target.name, MOST)):
            data = mutated(random, list(seeds.values()), words, target.repair)
            self.attempt(target, data, f"input {number}")


def _test_of(target: Target) -> Callable[[HostileTests], None]:  # a method that is bound later
    def test(self: HostileTests) -> None:
        self.try_target(target)

    return test


for _target in TARGETS:
    setattr(HostileTests, f"test_{_target.name}", _test_of(_target))
