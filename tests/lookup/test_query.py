# SPDX-License-Identifier: Apache-2.0
from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from stackviz_deployer.errors import HostNotAllowedError, QueryNotUnderstoodError
from stackviz_deployer.lookup.query import (
    MAX_QUERY_CHARS,
    ChangeQuery,
    LogUrlQuery,
    SampleQuery,
    host_of,
    parse_query,
)
from stackviz_deployer.model import GerritServer

OPENDEV = GerritServer(url="https://review.opendev.org/", aliases=("review.openstack.org",))
SUBPATH = GerritServer(
    url="https://gerrit.example.org/r/", aliases=("old.example.org", "older.example.org/g")
)
LOCAL = GerritServer(url="http://127.0.0.1:8080/")
GERRITS = (OPENDEV, SUBPATH, LOCAL)

# what stands behind https://review.opendev.org, and the change, patchset and project in it
FORMS = [
    ("/123456", 123456, None, None),
    ("/123456/", 123456, None, None),
    ("/123456/3", 123456, 3, None),
    ("/123456,3", 123456, 3, None),
    ("/123456/anything", 123456, None, None),
    ("/#/c/271726/", 271726, None, None),
    ("/#/c/271726", 271726, None, None),
    ("#/c/271726", 271726, None, None),
    ("/#/c/271726/2", 271726, 2, None),
    ("/#/c/271726/2/", 271726, 2, None),
    ("/#/c/271726/2..3", 271726, 3, None),
    ("/#/c/271726/2..3/nova/api.py", 271726, 3, None),
    ("/#/c/271726/2/nova/api.py", 271726, 2, None),
    ("/#/c/271726/2/nova/api.py@113", 271726, 2, None),
    ("/#/c/271726/2/nova/api.py@b113", 271726, 2, None),
    ("/#/c/271726/2//COMMIT_MSG", 271726, 2, None),
    ("/#/c/271726/?tab=comments", 271726, None, None),
    ("/#/271726", 271726, None, None),
    ("/%23/c/271726/2", 271726, 2, None),
    ("/#change,271726", 271726, None, None),
    ("/c/123456", 123456, None, None),
    ("/c/123456/", 123456, None, None),
    ("/c/123456/3", 123456, 3, None),
    ("/c/123456/1..3", 123456, 3, None),
    ("/c/123456/3/path/f.py", 123456, 3, None),
    ("/c/openstack/nova/+/123456", 123456, None, "openstack/nova"),
    ("/c/openstack/nova/+/123456/", 123456, None, "openstack/nova"),
    ("/c/openstack/nova/+/123456/3", 123456, 3, "openstack/nova"),
    ("/c/openstack/nova/+/123456/3/", 123456, 3, "openstack/nova"),
    ("/c/openstack/nova/+/123456/1..3", 123456, 3, "openstack/nova"),
    ("/c/openstack/nova/+/123456/-1..3", 123456, 3, "openstack/nova"),
    ("/c/openstack/nova/+/123456/edit", 123456, None, "openstack/nova"),
    ("/c/openstack/nova/+/123456/3..edit", 123456, None, "openstack/nova"),
    ("/c/openstack/nova/+/123456/edit..3", 123456, 3, "openstack/nova"),
    ("/c/openstack/nova/+/123456/0", 123456, None, "openstack/nova"),
    ("/c/openstack/nova/+/123456/3,edit", 123456, 3, "openstack/nova"),
    ("/c/openstack/nova/+/123456/3/nova/api.py,edit#7", 123456, 3, "openstack/nova"),
    ("/c/openstack/nova/+/123456/3/nova/api.py", 123456, 3, "openstack/nova"),
    ("/c/openstack/nova/+/123456/3/nova/api.py#42", 123456, 3, "openstack/nova"),
    ("/c/openstack/nova/+/123456/3/nova/api.py#b42", 123456, 3, "openstack/nova"),
    ("/c/openstack/nova/+/123456/3//COMMIT_MSG", 123456, 3, "openstack/nova"),
    ("/c/openstack/nova/+/123456/1..3/a/+/7", 123456, 3, "openstack/nova"),
    ("/c/openstack/nova/+/123456/comment/abcdef01_23456789/", 123456, None, "openstack/nova"),
    ("/c/openstack/nova/+/123456/comments/abcdef01_23456789", 123456, None, "openstack/nova"),
    ("/c/openstack%2Fnova/+/123456/3", 123456, 3, "openstack/nova"),
    ("/c/openstack%2fnova/%2B/123456/3", 123456, 3, "openstack/nova"),
    ("/c/openstack/nova/ /123456/3", 123456, 3, "openstack/nova"),
    ("/c/openstack/nova/%20/123456", 123456, None, "openstack/nova"),
    ("/c/zuul/+/123456", 123456, None, "zuul"),
    (
        "/c/openstack/nova/+/123456?tab=change-view-tab-header-zuul-results-summary",
        123456,
        None,
        "openstack/nova",
    ),
    ("/c/openstack/nova/+/123456/3?tab=comments#message-" + "a" * 40, 123456, 3, "openstack/nova"),
    ("/c/openstack/nova/+/123456#message-" + "0" * 40, 123456, None, "openstack/nova"),
]
REFUSED = [
    "",
    "   ",
    "<>",
    "0",
    "271726,0",
    "2147483648",
    "9" * 40,
    "271726,2147483648",
    "271726,1,1",
    "271726 2",
    "-5",
    "٢٧",  # digits, but not Gerrit's
    "nova",
    "I" + "0" * 40,
    "refs/changes/68/1000669/1",
    "refs/changes/68/1000668/meta",
    "271726\n271727",
    "271726\x00",
    "http://",
    "https://[::1/x",
    "https://host:99999/x",
    "https://:80/",
    "ftp://logs.openstack.org/26/271726/",
    "javascript:alert(1)",
    "file:///etc/passwd",
    "https://review.opendev.org/",
    "https://review.opendev.org/admin/repos",
    "https://review.opendev.org/q/topic:x,25",
    "https://review.opendev.org/q/I" + "0" * 40,
    "https://review.opendev.org/id/I" + "0" * 40,
    "https://review.opendev.org/#/q/status:open",
    "https://review.opendev.org/c/openstack/nova/+/99999999999",
    "https://review.opendev.org/c/openstack/nova/+/0",
    "https://review.opendev.org/12abc",
    "https://gerrit.example.org/c/12",  # not below /r/
    "logs.openstack.org/26/271726/2/check/gate-x/7c374a7/",
    "https://zuul.opendev.org/t/openstack/build/" + "a" * 32,
    "https://zuul.openstack.org/build/" + "a" * 32 + "/logs",
    "https://softwarefactory-project.io/zuul/t/local/buildset/" + "a" * 32,
    "x" * (MAX_QUERY_CHARS + 1),
]


class QueryTests(SynchronousTestCase):
    def test_bare(self) -> None:
        for text, patchset in [("271726", None), ("271726,1", 1), ("271726/1", 1), ("0271726/", None)]:
            self.assertEqual(parse_query(text, GERRITS), ChangeQuery(number=271726, patchset=patchset))
        self.assertEqual(
            parse_query("refs/changes/68/1000668/1", GERRITS), ChangeQuery(number=1000668, patchset=1)
        )
        self.assertEqual(parse_query("refs/changes/05/5/2", ()), ChangeQuery(number=5, patchset=2))
        self.assertEqual(parse_query("2147483647", ()), ChangeQuery(number=2**31 - 1))

    def test_gerrit_urls(self) -> None:
        for rest, number, patchset, project in FORMS:
            expected = {"number": number, "patchset": patchset, "project": project}
            for start, server in [
                ("https://review.opendev.org", OPENDEV),
                ("http://review.openstack.org", OPENDEV),
                ("HTTPS://Review.OpenDev.org:443", OPENDEV),
                ("https:/review.opendev.org", OPENDEV),  # a web server folded the slashes
                ("review.opendev.org", OPENDEV),
                ("https://gerrit.example.org/r", SUBPATH),
                ("https://old.example.org/r", SUBPATH),
                ("https://old.example.org", SUBPATH),
                ("https://older.example.org/g", SUBPATH),
                ("http://127.0.0.1:8080", LOCAL),
            ]:
                if start == "review.opendev.org" and rest.startswith("#"):
                    continue
                self.assertEqual(
                    parse_query(start + rest, GERRITS), ChangeQuery(gerrit=server, **expected), start + rest
                )

    def test_surroundings(self) -> None:
        for text in [
            " 271726\n",
            "<271726>",
            "(271726),",
            "271726.",
            "\u200b271726\ufeff",
            '"271726";',
            "`271726`",
            "[271726]?",
        ]:
            self.assertEqual(parse_query(text, GERRITS), ChangeQuery(number=271726), repr(text))
        for text in ["<https://review.openstack.org/#/c/271726/>", "(https://review.openstack.org/271726)."]:
            self.assertEqual(parse_query(text, GERRITS), ChangeQuery(number=271726, gerrit=OPENDEV), text)

    def test_log_urls(self) -> None:
        for url in [
            "http://logs.openstack.org/26/271726/2/gate/gate-stackviz-python27/937cf7b/",
            "http://logs.openstack.org/26/271726/2/gate/gate-stackviz-python27/937cf7b/console.html#_2016",
            "https://storage.gra.cloud.ovh.net/v1/AUTH_dcaab5e3/zuul_opendev_logs_d6b/openstack/"
            + "a" * 32
            + "/",
            "http://127.0.0.1:8081/job/",
            "http://elsewhere.example.com/12345",
        ]:
            self.assertEqual(parse_query(f" {url} ", GERRITS), LogUrlQuery(url=url))

    def test_sample(self) -> None:
        self.assertEqual(parse_query("Sample", GERRITS), SampleQuery())
        self.assertEqual(parse_query("sample:gate-x/", GERRITS), SampleQuery(url="sample:gate-x/"))

    def test_refused_with_the_accepted_forms(self) -> None:
        for text in REFUSED:
            error = self.assertRaises(QueryNotUnderstoodError, parse_query, text, GERRITS)
            self.assertIn("refs/changes/26/271726/2", error.message, text)
            self.assertLess(len(error.message), 800, text)

    def test_unknown_gerrit(self) -> None:
        for url in [
            "https://gerrit.unknown.org/c/openstack/nova/+/123",
            "https://gerrit.unknown.org/#/c/123/",
        ]:
            error = self.assertRaises(HostNotAllowedError, parse_query, url, GERRITS)
            self.assertIn("gerrit.unknown.org", error.message)
            self.assertIn("review.opendev.org", error.message)
        # a port makes another server
        self.assertRaises(HostNotAllowedError, parse_query, "http://127.0.0.1:8081/c/12", GERRITS)
        self.assertRaises(
            HostNotAllowedError, parse_query, "https://review.opendev.org.evil.org/c/1", GERRITS
        )
        self.assertRaises(
            HostNotAllowedError, parse_query, "https://review.opendev.org@evil.org/c/1", GERRITS
        )

    def test_two_gerrits_on_one_host(self) -> None:
        upper = GerritServer(url="https://g.example.org/")
        lower = GerritServer(url="https://g.example.org/r/")
        for text, server in [("https://g.example.org/r/c/5", lower), ("https://g.example.org/c/5", upper)]:
            self.assertEqual(parse_query(text, (upper, lower)), ChangeQuery(number=5, gerrit=server))

    def test_host_of(self) -> None:
        self.assertEqual(
            [host_of(s) for s in GERRITS], ["review.opendev.org", "gerrit.example.org", "127.0.0.1:8080"]
        )

    @settings(deadline=500)
    @given(
        st.one_of(
            st.text(max_size=200),
            st.from_regex(r"(https?:/+)?(review\.opendev\.org|\[[0-9:]*\])?[/#c+ %0-9.,edit-]{0,60}"),
            st.lists(
                st.sampled_from(
                    ["https://", "review.opendev.org", "/", "c", "+", "%2F", "#", "1", "..", "edit", "@", ":"]
                )
            ).map("".join),
        )
    )
    @example("https://review.opendev.org/c/" + "/+/" * 1300)
    @example("https://review.opendev.org/c/p/+/1/" + "1.." * 1300)
    @example("(" * MAX_QUERY_CHARS)
    @example("(>" * (MAX_QUERY_CHARS // 2))
    def test_nothing_but_the_named_errors(self, text: str) -> None:
        try:
            query = parse_query(text, GERRITS)
        except (QueryNotUnderstoodError, HostNotAllowedError):
            return
        if isinstance(query, ChangeQuery):
            self.assertTrue(0 < query.number < 2**31)
            self.assertTrue(query.patchset is None or 0 < query.patchset < 2**31)
