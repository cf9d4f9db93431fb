# SPDX-License-Identifier: Apache-2.0
"""Hostile inputs for everything that reads what strangers write.

``targets.py`` is the table: what is called, what it may raise, what must hold afterwards, where its seeds
lie.  ``test_hostile.py`` tries a bounded number of inputs with every run of the tests; ``bench/fuzz.py`` goes
on for as long as it is told.
"""
