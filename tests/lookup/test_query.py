# SPDX-License-Identifier: Apache-2.0
import re
from pathlib import Path
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from stackviz_deployer.errors import HostNotAllowedError, QueryNotUnderstoodError
from stackviz_deployer.lookup.query import (
    ACCEPTED_FORMS,
    MAX_QUERY_CHARS,
    MAX_SEARCH_CHARS,
    ChangeQuery,
    LogUrlQuery,
    SampleQuery,
    SearchQuery,
    host_of,
    parse_query,
    zuul_query,
)
from stackviz_deployer.lookup.zuul_page import BuildQuery, BuildsQuery
from stackviz_deployer.settings import GerritServer, ZuulServer

OPENDEV = GerritServer(url="https://review.opendev.org/", aliases=("review.openstack.org",))
SUBPATH = GerritServer(
    url="https://gerrit.example.org/r/", aliases=("old.example.org", "older.example.org/g")
)
LOCAL = GerritServer(url="http://127.0.0.1:8080/")
GERRITS = (OPENDEV, SUBPATH, LOCAL)
ZUUL = ZuulServer(url="https://zuul.opendev.org/")
WHITE = ZuulServer(url="https://zuul.openstack.org/", white_label=True)
SF = ZuulServer(url="https://softwarefactory-project.io/zuul/")
ZUULS = (ZUUL, WHITE, SF)
UUID = "d6b05d233d1b47a9b51694b4da905ab1"

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
    ("/changes/123456/detail", 123456, None, None),
    ("/changes/openstack%2Fnova~123456", 123456, None, "openstack/nova"),
    ("/changes/openstack%2Fnova~123456/detail?o=MESSAGES", 123456, None, "openstack/nova"),
    ("/a/changes/openstack%2Fnova~123456/revisions/2/files", 123456, 2, "openstack/nova"),
]
# what stands behind a Zuul's own URL and /t/<tenant>: pages of one build or build set...
BUILD_PAGES = [
    (f"/build/{UUID}", "build"),
    (f"/build/{UUID}/", "build"),
    (f"/build/{UUID}/artifacts", "build"),
    (f"/build/{UUID}/logs", "build"),
    (f"/build/{UUID}/console", "build"),
    (f"/build/{UUID}/console#0/1/2/controller", "build"),
    (f"/build/{UUID}/log/job-output.txt", "build"),
    (f"/build/{UUID}/log/controller/logs/screen-n-cpu.txt#L12", "build"),
    (f"/build/{UUID}/log/controller/logs/screen-n-cpu.txt?severity=4#12", "build"),
    (f"/stream/{UUID}?logfile=console.log", "build"),
    (f"/buildset/{UUID}", "buildset"),
    (f"/buildset/{UUID}?tab=builds#x", "buildset"),
    (f"/buildsets?uuid={UUID}", "buildset"),
]
# ...and pages of several
BUILDS_PAGES = [
    ("/builds", ()),
    ("/builds.html", ()),
    (
        "/builds?job_name=tempest-full&project=openstack%2Fnova&result=FAILURE&skip=0&limit=50",
        (("job_name", "tempest-full"), ("project", "openstack/nova"), ("result", "FAILURE")),
    ),
    ("/builds.html?change=123&patchset=4", (("change", "123"), ("patchset", "4"))),
    ("/builds?project=a&project=b", (("project", "a"), ("project", "b"))),
    ("/builds?colour=red&change=", ()),
    ("/buildsets?change=123&result=FAILURE", (("change", "123"),)),
    ("/status", ()),
    ("/status?pipeline=gate&expanded=1", (("pipeline", "gate"),)),
    ("/status/change/271726,2", (("change", "271726"), ("patchset", "2"))),
    ("/status/change/271726", (("change", "271726"),)),
    ("/status?change=271726,2", (("change", "271726"), ("patchset", "2"))),
    ("/status?change=271726&project=openstack%2Fnova", (("change", "271726"), ("project", "openstack/nova"))),
    (f"/status/change/7,{'a' * 40}", (("change", "7"), ("patchset", "a" * 40))),
    ("/status/pipeline/check", (("pipeline", "check"),)),
    ("/job/openstack-operator:functional", (("job_name", "openstack-operator:functional"),)),
    ("/project/opendev.org/openstack/nova", (("project", "openstack/nova"),)),
    ("/project/nova", (("project", "nova"),)),
]
SEARCHES = [
    ("/q/topic:x", "topic:x"),
    ("/q/topic:x,25", "topic:x"),
    ("/q/topic:x+status:open", "topic:x status:open"),
    ("/q/topic:%22a%20b%22", 'topic:"a b"'),
    ("/q/hashtag:%252B1", "hashtag:+1"),
    ("/q/I" + "0" * 40, "I" + "0" * 40),
    ("/q/change:I" + "0" * 40, "change:I" + "0" * 40),
    ("/id/I" + "0a" * 20, "change:I" + "0a" * 20),
    ("/#/q/status:open,n,z", "status:open"),
    ("/#/q/status:open+project:openstack/nova", "status:open project:openstack/nova"),
    ("/#q,topic:x,n,z", "topic:x"),
    ("#/q/topic:x", "topic:x"),
    ("/%23/q/topic:x", "topic:x"),
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
    "I" + "0" * 39,
    "i" + "0" * 40,
    "I" + "A" * 40,
    "a" * 31,
    "A" * 32,
    "a" * 33,
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
    "https://review.opendev.org/q/",
    "https://review.opendev.org/q/%00",
    "https://review.opendev.org/q/" + "x" * (MAX_SEARCH_CHARS + 1),
    "https://review.opendev.org/id/I123",
    "https://review.opendev.org/dashboard/self",
    "https://review.opendev.org/c/openstack/nova/+/99999999999",
    "https://review.opendev.org/c/openstack/nova/+/0",
    "https://review.opendev.org/12abc",
    "https://gerrit.example.org/c/12",  # not below /r/
    "https://zuul.opendev.org/",
    "https://zuul.opendev.org/tenants",
    "https://zuul.opendev.org/t/openstack",
    "https://zuul.opendev.org/t/openstack/nodes",
    "https://zuul.opendev.org/t/openstack/jobs",
    "https://zuul.opendev.org/t/openstack/build/123",
    "https://zuul.opendev.org/t/%2e%2e/build/" + "a" * 32,
    "https://zuul.opendev.org/t/a%2Fb/builds",
    "https://zuul.opendev.org/t/" + "a" * 101 + "/builds",
    "https://zuul.opendev.org/t/openstack/status/change/nova",
    "https://zuul.opendev.org/t/openstack/job/",
    "https://softwarefactory-project.io/zuul/",
    "logs.openstack.org/26/271726/2/check/gate-x/7c374a7/",
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

    def test_ids_of_the_api(self) -> None:
        """What Gerrit's API calls a change."""
        for text in ["openstack%2Fnova~948311", "openstack/nova~948311", " openstack%2fnova~948311."]:
            expected = ChangeQuery(number=948311, project="openstack/nova")
            self.assertEqual(parse_query(text, GERRITS), expected, text)
        change_id = "I" + "0a" * 20
        for text in [f"openstack%2Fnova~master~{change_id}", f"openstack/nova~master~{change_id}"]:
            self.assertEqual(
                parse_query(text, GERRITS), SearchQuery(text=f"change:openstack/nova~master~{change_id}")
            )

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

    def test_searches(self) -> None:
        for rest, text in SEARCHES:
            for start, server in [
                ("https://review.opendev.org", OPENDEV),
                ("https://review.openstack.org", OPENDEV),
                ("https://gerrit.example.org/r", SUBPATH),
            ]:
                self.assertEqual(
                    parse_query(start + rest, GERRITS, ZUULS), SearchQuery(text=text, gerrit=server), rest
                )
        change_id = "I" + "0a" * 20
        self.assertEqual(parse_query(f" {change_id}.", GERRITS), SearchQuery(text=f"change:{change_id}"))

    def test_zuul_pages(self) -> None:
        for start, zuul, tenant in [
            ("https://zuul.opendev.org/t/openstack", ZUUL, "openstack"),
            ("zuul.opendev.org/t/openstack", ZUUL, "openstack"),
            ("http:/Zuul.OpenDev.org:80/t/a%20b", ZUUL, "a b"),
            ("https://zuul.opendev.org/api/tenant/openstack", ZUUL, "openstack"),
            ("https://zuul.openstack.org", WHITE, None),
            ("https://zuul.openstack.org/api", WHITE, None),
            ("https://softwarefactory-project.io/zuul/t/local", SF, "local"),
        ]:
            for rest, kind in BUILD_PAGES:
                expected: Any = BuildQuery(uuid=UUID, kind=kind, zuul=zuul, tenant=tenant)
                self.assertEqual(parse_query(start + rest, GERRITS, ZUULS), expected, start + rest)
            for rest, filters in BUILDS_PAGES:
                expected = BuildsQuery(zuul=zuul, tenant=tenant, filters=filters)
                self.assertEqual(parse_query(start + rest, GERRITS, ZUULS), expected, start + rest)

    def test_uuid(self) -> None:
        for text in [UUID, f" {UUID}.", f"<{UUID}>"]:
            self.assertEqual(parse_query(text, GERRITS, ZUULS), BuildQuery(uuid=UUID))
        digits = "01234567890123456789012345678901"
        self.assertEqual(parse_query(digits, (), ()), BuildQuery(uuid=digits))

    def test_unknown_zuul(self) -> None:
        for url in [
            f"https://zuul.unknown.org/t/x/build/{UUID}",
            f"https://zuul.unknown.org/build/{UUID}/logs",
            f"https://unknown.org/zuul/t/local/buildset/{UUID}",
            "https://zuul.unknown.org/t/x/builds?change=1",
            "https://zuul.unknown.org/t/x/status",
        ]:
            error = self.assertRaises(HostNotAllowedError, parse_query, url, GERRITS, ZUULS)
            self.assertIn("unknown.org is not a configured Zuul", error.message)
            self.assertIn("zuul.opendev.org", error.message)

    def test_one_host_for_everything(self) -> None:
        """As at Software Factory: Gerrit, Zuul and logs on one host, each below a path."""
        gerrit = GerritServer(url="https://sf.example.org/r/")
        zuul = ZuulServer(url="https://sf.example.org/zuul/")
        for url, expected in [
            ("https://sf.example.org/r/c/a/+/5", ChangeQuery(number=5, project="a", gerrit=gerrit)),
            (
                f"https://sf.example.org/zuul/t/local/build/{UUID}",
                BuildQuery(uuid=UUID, kind="build", zuul=zuul, tenant="local"),
            ),
            (
                "https://sf.example.org/logs/5/1/check/j/",
                LogUrlQuery(url="https://sf.example.org/logs/5/1/check/j/"),
            ),
        ]:
            self.assertEqual(parse_query(url, (gerrit,), (zuul,)), expected)

    def test_zuul_query(self) -> None:
        url = f"https://zuul.opendev.org/t/x/build/{UUID}/"
        self.assertEqual(zuul_query(url, ZUULS), BuildQuery(uuid=UUID, kind="build", zuul=ZUUL, tenant="x"))
        for other in ["https://zuul.opendev.org/x/", "http://logs.openstack.org/x/", "http://[::1/", ""]:
            self.assertIsNone(zuul_query(other, ZUULS))

    def test_sample(self) -> None:
        self.assertEqual(parse_query("Sample", GERRITS), SampleQuery())
        self.assertEqual(parse_query("sample:gate-x/", GERRITS), SampleQuery(url="sample:gate-x/"))

    def test_refused_with_the_accepted_forms(self) -> None:
        for text in REFUSED:
            error = self.assertRaises(QueryNotUnderstoodError, parse_query, text, GERRITS, ZUULS)
            self.assertIn("refs/changes/26/271726/2", error.message, text)
            self.assertLess(len(error.message), 1000, text)

    def test_readme_table(self) -> None:
        """What the README says can be pasted can be."""
        text = (Path(__file__).resolve().parents[2] / "README.rst").read_text(encoding="utf-8")
        table = text.partition("What can be pasted")[2].partition("The same after")[0]
        forms = [form for line in table.splitlines() for form in re.findall("``([^`]+)``", line[:56])]
        self.assertGreater(len(forms), 12)
        for form in forms:
            if form == "I":
                continue
            whole = form.replace("I0123…", "I" + "0123" * 10).replace("?…", "?change=1")
            whole = re.sub("(d6b05d|2cd0)…", UUID, whole).replace("…", "x")
            parse_query(whole, GERRITS, ZUULS)
        for path in BUILD_PAGES[0][0], BUILDS_PAGES[0][0]:
            self.assertIn(path.split("/")[1], ACCEPTED_FORMS)

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
                    [
                        "https://",
                        "review.opendev.org",
                        "/",
                        "c",
                        "+",
                        "%2F",
                        "#",
                        "1",
                        "..",
                        "edit",
                        "@",
                        ":",
                        "q",
                        ",",
                        "id",
                        "zuul.opendev.org",
                        "t",
                        "build",
                        UUID,
                        "builds?",
                        "change=",
                        "status",
                        "api",
                        "tenant",
                        "change",
                        "I" + "0" * 40,
                    ]
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
            query = parse_query(text, GERRITS, ZUULS)
        except (QueryNotUnderstoodError, HostNotAllowedError):
            return
        if isinstance(query, ChangeQuery):
            self.assertTrue(0 < query.number < 2**31)
            self.assertTrue(query.patchset is None or 0 < query.patchset < 2**31)
