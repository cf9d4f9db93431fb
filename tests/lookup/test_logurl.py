# SPDX-License-Identifier: Apache-2.0
from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from stackviz_deployer.errors import QueryNotUnderstoodError
from stackviz_deployer.lookup.logurl import MAX_URL_CHARS, LogUrl, parse_log_url

SHA = "0a1b2c3d4e" * 4
UUID = "d6b05d233d1b47a9b51694b4da905ab1"
L = "http://logs.openstack.org"

# root, and what it says
JOBS = [
    (
        f"{L}/26/271726/2/check/gate-stackviz-pep8/7c374a7/",
        {
            "change": 271726,
            "patchset": 2,
            "pipeline": "check",
            "name": "gate-stackviz-pep8",
            "uuid": "7c374a7",
        },
    ),
    (
        "http://127.0.0.1:8080/ci/logs/05/5/1/check-arm64/org.job:x/0123456/",
        {"change": 5, "patchset": 1, "pipeline": "check-arm64", "name": "org.job:x", "uuid": "0123456"},
    ),
    (  # without the leading digits, and the patchset looks like them
        f"{L}/5/105/check/j/0123456/",
        {"change": 5, "patchset": 105, "pipeline": "check", "name": "j", "uuid": "0123456"},
    ),
    (
        f"{L}/5/5/1/gate/j/0123456/",
        {"change": 5, "patchset": 1, "pipeline": "gate", "name": "j", "uuid": "0123456"},
    ),
    (
        "https://storage.bhs.cloud.ovh.net/v1/AUTH_dcaab5e32b234d56b6/zuul_opendev_logs_da8/742165/2/check/build-python-release/da85bd4/",
        {
            "change": 742165,
            "patchset": 2,
            "pipeline": "check",
            "name": "build-python-release",
            "uuid": "da85bd4",
        },
    ),
    (
        f"{L}/{SHA[:2]}/{SHA}/post/nova-docs/abcdef0/",
        {"newrev": SHA, "pipeline": "post", "name": "nova-docs", "uuid": "abcdef0"},
    ),
    (
        f"{L}/{SHA[:2]}/{SHA}/release/nova-tarball/abcdef0/",
        {"newrev": SHA, "pipeline": "release", "name": "nova-tarball", "uuid": "abcdef0"},
    ),
    (
        f"{L}/{SHA[:2]}/{SHA}/tag/x/abcdef0/",
        {"newrev": SHA, "pipeline": "tag", "name": "x", "uuid": "abcdef0"},
    ),
    (
        f"{L}/periodic/periodic-nova-docs-icehouse/abcdef0/",
        {"pipeline": "periodic", "name": "periodic-nova-docs-icehouse", "uuid": "abcdef0"},
    ),
    (
        f"{L}/periodic-stable/periodic-x/abcdef0/",
        {"pipeline": "periodic-stable", "name": "periodic-x", "uuid": "abcdef0"},
    ),
    (
        f"{L}/periodic/git.openstack.org/openstack/nova/stable/queens/legacy-x/abcdef0/",
        {"pipeline": "periodic", "name": "legacy-x", "uuid": "abcdef0"},
    ),
    (
        f"https://storage.gra.cloud.ovh.net/v1/AUTH_x/zuul_opendev_logs_d6b/openstack/{UUID}/",
        {"name": UUID, "uuid": UUID, "tenant": "openstack"},
    ),
    (
        f"https://11b77813494a95a1b8ad-d28bfbac581c22e8bbce39a73023702a.ssl.cf5.rackcdn.com/openstack/{UUID}/",
        {"name": UUID, "uuid": UUID, "tenant": "openstack"},
    ),
    (
        "https://0112c37c2e19f5099a42-3a487fdd6175381de80a35ca6bdfdf63.ssl.cf2.rackcdn.com/742165/2/check/tox-py27/6a466ed/",
        {
            "change": 742165,
            "patchset": 2,
            "pipeline": "check",
            "name": "tox-py27",
            "uuid": "6a466ed",
            "tenant": None,
        },
    ),
    (  # partitioned containers: the first part of the path is in their name
        "https://swift.example.org/v1/AUTH_x/logs_65/742165/2/check/tox-py27/6a466ed/",
        {"change": 742165, "patchset": 2, "pipeline": "check", "name": "tox-py27", "uuid": "6a466ed"},
    ),
    (
        f"https://swift.example.org/v1/AUTH_x/logs_{SHA[:2]}/{SHA}/post/nova-docs/abcdef0/",
        {"newrev": SHA, "pipeline": "post", "name": "nova-docs", "uuid": "abcdef0"},
    ),
    (
        "https://swift.example.org/v1/AUTH_x/logs_periodic/opendev.org/openstack/nova/master/x/abcdef0/",
        {"pipeline": "periodic", "name": "x", "uuid": "abcdef0"},
    ),
]
NO_FORM = [
    ("http://host.example.org/some/job/", "http://host.example.org/some/job/", "job"),
    ("http://host.example.org/some/job", "http://host.example.org/some/job/", "job"),
    ("http://host.example.org/some/job/console.html", "http://host.example.org/some/job/", "job"),
    ("http://host.example.org", "http://host.example.org/", "http://host.example.org/"),
    # the first digits are not the change's last
    (f"{L}/27/271726/x/check/j/7c374a7/", f"{L}/27/271726/x/check/j/7c374a7/", "7c374a7"),
    (f"{L}/26/271726/2/", f"{L}/26/271726/2/", "271726/2"),
    (
        "https://logs.example.org/node-1/lf-tox-verify/285",
        "https://logs.example.org/node-1/lf-tox-verify/285/",
        "lf-tox-verify/285",
    ),
    (
        "https://gcsweb.example.org/gcs/b/logs/e2e/1712/",
        "https://gcsweb.example.org/gcs/b/logs/e2e/1712/",
        "e2e/1712",
    ),
    # below a job of no known form, devstack's own layout says where it begins
    (f"{L}/some/job/controller/logs/screen-n-cpu.txt#12", f"{L}/some/job/", "job"),
    (f"{L}/some/job/controller/logs/etc/nova/", f"{L}/some/job/", "job"),
    (f"{L}/controller/logs/", f"{L}/controller/logs/", "logs"),
    (f"{L}/ab/{SHA}/post/j/abcdef0/", f"{L}/ab/{SHA}/post/j/abcdef0/", "abcdef0"),
]
BELOW = [
    "",
    "console.html",
    "logs/testrepository.subunit.gz",
    "logs/",
    "controller/logs/screen-n-cpu.txt.gz#_Feb_05_12",
    "controller/logs/",
    "zuul-manifest.json",
    "console.html?level=ERROR#_2016-02-05",
]
REFUSED = [
    "http://[::1]x:80/y/",
    "http://x[::1]/y/",
    "",
    "logs.openstack.org/26/",
    "ftp://logs.openstack.org/x/",
    "http:///x/",
    "http://user:secret@logs.openstack.org/x/",
    "http://host:0x50/",
    "http://[::1/",
    "http://host/a/../b/",
    "http://host/a/%2e%2E/b/",
    "http://host/a/./b/",
    "http://host/a b/",
    "http://host/a\nb/",
    "http://host/<script>/",
    "http://host/" + "a/" * 70,
    "http://host/" + "a" * MAX_URL_CHARS,
]


class LogUrlTests(SynchronousTestCase):
    def test_known_forms(self) -> None:
        for root, said in JOBS:
            for below in BELOW:
                found = parse_log_url(root + below)
                self.assertEqual({key: getattr(found, key) for key in said}, said, root + below)
                self.assertEqual(found.root, root)
                for name in {"change", "patchset", "newrev"} - set(said):
                    self.assertIsNone(getattr(found, name))
            self.assertEqual(parse_log_url(root[:-1]).root, root)

    def test_key_is_the_same_on_every_server(self) -> None:
        one = parse_log_url(f"{L}/26/271726/2/check/j/7c374a7/")
        other = parse_log_url("https://swift.example.org/v1/x_26/271726/2/check/j/7c374a7/logs/x.txt")
        self.assertEqual(one.key, other.key)
        one = parse_log_url(f"{L}/{SHA[:2]}/{SHA}/post/j/abcdef0/")
        other = parse_log_url(f"https://swift.example.org/v1/logs_{SHA[:2]}/{SHA}/post/j/abcdef0/")
        self.assertEqual(one.key, other.key)

    def test_other_directories(self) -> None:
        for url, root, name in NO_FORM:
            self.assertEqual(parse_log_url(url), LogUrl(root=root, name=name), url)

    def test_host_is_normalised(self) -> None:
        for url in ["HTTP://Logs.OpenStack.org:80/x/", "http://logs.openstack.org./x/"]:
            self.assertEqual(parse_log_url(url).root, f"{L}/x/")
        self.assertEqual(parse_log_url("https://[2001:DB8::1]:8443/x/").root, "https://[2001:db8::1]:8443/x/")

    def test_refused(self) -> None:
        for url in (*REFUSED, "https://./periodic/job/0123abc/", "https://..:80/"):
            self.assertRaises(QueryNotUnderstoodError, parse_log_url, url)

    @given(
        st.one_of(
            st.text(max_size=100).map("http://h/".__add__),
            st.text(max_size=30),
            st.lists(
                st.sampled_from(
                    [
                        "26",
                        "271726",
                        "2",
                        "check",
                        "job",
                        "7c374a7",
                        SHA,
                        SHA[:2],
                        UUID,
                        "periodic",
                        "",
                        "x.html",
                        "%2F",
                    ]
                ),
                max_size=12,
            ).map(lambda parts: "https://h.example.org/" + "/".join(parts)),
        )
    )
    @example("http://h/" + "/" * 60)
    @example("http://h" + "/a" * 64)
    def test_any_text(self, url: str) -> None:
        try:
            found = parse_log_url(url)
        except QueryNotUnderstoodError:
            return
        self.assertTrue(found.root.endswith("/"))
        self.assertTrue(found.name)
        # a root is its own root: the queue knows jobs by it
        self.assertEqual(parse_log_url(found.root), found)
