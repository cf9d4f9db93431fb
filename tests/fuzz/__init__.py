# SPDX-License-Identifier: Apache-2.0
"""Hostile inputs for everything that reads what strangers write.

``lookups``, ``listings``, ``runs``, ``consoles`` and ``uploads`` are the tables, joined in ``targets``: what
is called, what it may raise, what must hold afterwards, where its seeds and the words of its format lie.
``test_hostile.py`` tries a bounded number of inputs with every run of the tests; ``bench/fuzz.py`` goes on
for as long as it is told.
"""
