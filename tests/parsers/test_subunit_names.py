# SPDX-License-Identifier: Apache-2.0
"""Names: shortened as StackViz' own parser does it, and never two alike."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from stackviz_deployer.parsers.subunit_names import MAX_NAME_CHARS, Names, clean_name


class CleanNameTests(SynchronousTestCase):
    def test_each_form(self) -> None:
        for test_id, name in (
            ("tempest.T.test_list[compute,id-0b2e3d6f,smoke]", "tempest.T.test_list"),
            (
                "setUpClass (tempest.scenario.test_vol.TestVol)",
                "tempest.scenario.test_vol.TestVol.setUpClass",
            ),
            ("tearDownClass (a.B)", "a.B.tearDownClass"),
            ("setUpModule (a)", "a.setUpModule"),
            ("a.T.test_scn(backend=mysql)", "a.T.test_scn(backend=mysql)"),
            ("a.T.test_scn(v 1, (2))", "a.T.test_scn(v 1, (2))"),
            ("a.T.test_both[id-1,slow](v=1, [2,3])", "a.T.test_both(v=1, [2,3])"),
            ("a.T.test_x", "a.T.test_x"),
            ("tests.テスト.T.test_ünicode", "tests.テスト.T.test_ünicode"),
            ("process-returncode", "process-returncode"),
            ("[x]", "[x]"),
            ("a]b", "a]b"),
            ("a]", "a]"),
            ("](x)", "](x)"),
            ("a[b]]", "a[b]]"),
            ("a[b][c]", "a[b]"),
            ("a\nb\0c", "a b c"),
            ("", "(no name)"),
        ):
            self.assertEqual(clean_name(test_id), name)

    def test_made_to_cost_time(self) -> None:
        """Linear: 100,000 such names of 4 KB are seconds, not hours."""
        for part in ("[", "[](", "](", "[a](b)[", "x.(", "a (b."):
            for _ in range(2000):
                clean_name(part * (4000 // len(part)) + ")")

    def test_length(self) -> None:
        self.assertEqual(clean_name("x" * MAX_NAME_CHARS), "x" * MAX_NAME_CHARS)
        self.assertEqual(clean_name("x" * 5000), "x" * (MAX_NAME_CHARS - 1) + "…")


class NamesTests(SynchronousTestCase):
    def take(self, *ids: str) -> list[str]:
        names = Names()
        return [names.take(test_id) for test_id in ids]

    def test_equal_ids(self) -> None:
        self.assertEqual(self.take("a", "a", "b", "a"), ["a", "a (2)", "b", "a (3)"])
        self.assertEqual(self.take("a[id-1]", "a[id-1]"), ["a", "a (2)"])

    def test_parameters_are_kept_where_they_tell_apart(self) -> None:
        self.assertEqual(self.take("a[1]", "a[2]", "a[2]", "a[1]"), ["a", "a[2]", "a[2] (2)", "a (2)"])

    def test_a_name_that_looks_numbered(self) -> None:
        self.assertEqual(self.take("a (2)x", "a", "a (2)", "a"), ["a (2)x", "a", "a (2)", "a (3)"])

    @given(
        st.lists(st.sampled_from(["a", "a[1]", "a[2]", "a (2)", "a (3)", "a[1] (2)", "x" * 2000, "x" * 1999]))
    )
    def test_never_two_alike(self, ids: list[str]) -> None:
        taken = self.take(*ids)
        self.assertEqual(len(set(taken)), len(ids))
