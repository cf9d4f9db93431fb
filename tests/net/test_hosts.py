# SPDX-License-Identifier: Apache-2.0
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from stackviz_deployer.errors import ConfigError, HostNotAllowedError, QueryNotUnderstoodError, StackvizError
from stackviz_deployer.net.hosts import MAX_URL, AllowedHosts, parse_url


class UrlTests(SynchronousTestCase):
    def test_forms(self) -> None:
        for url, expected in (
            ("http://logs.openstack.org/26/271726/", ("logs.openstack.org", 80)),
            ("HTTPS://Logs.OpenStack.org", ("logs.openstack.org", 443)),
            ("http://logs.example.:8080/x", ("logs.example", 8080)),
            ("http://h:/x", ("h", 80)),
            ("https://[2001:DB8::1]:8443/x", ("2001:db8::1", 8443)),
            ("http://bücher.example/x", ("xn--bcher-kva.example", 80)),
            ("http://１２７.0.0.1/", ("127.0.0.1", 80)),
        ):
            target = parse_url(url)
            self.assertEqual((target.host, target.port), expected, url)

    def test_written_anew(self) -> None:
        for url, written in (
            ("HTTP://H:80/a?b#c", "http://h/a?b"),
            ("https://h:80/", "https://h:80/"),
            ("http://h?q=1", "http://h/?q=1"),
            ("http://h/a%20b%2Fc%zz", "http://h/a%20b%2Fc%25zz"),
            ("http://h/é<>|", "http://h/%C3%A9%3C%3E%7C"),
            ("http://[::1]:8080/", "http://[::1]:8080/"),
        ):
            self.assertEqual(parse_url(url).url, written)

    def test_refused(self) -> None:
        for url in (
            "",
            "logs.openstack.org",
            "ftp://h/x",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "http:///x",
            "http://:80/",
            "http://user@h/",
            "http://user:pw@h/",
            "http://a@b@c/",
            "http://h:99999/",
            "http://h:0/",
            "http://h:8o/",
            "http://h x/",
            "http://h/a b",
            "http://h/\r\nHost: x",
            "http://h\\@evil/",
            "http://h\x00/",
            "http://-h/",
            "http://h..x/",
            "http://" + "a" * 64 + "/",
            "http://" + "a." * 130 + "/",
            "http://[::1%25eth0]/",
            "http://[::1/",
            "http://[1.2.3.4]/",
            "http://h%2e/",
            "http://h/\ud800",
        ):
            self.assertRaises(QueryNotUnderstoodError, parse_url, url)

    def test_length(self) -> None:
        fits = "http://h/" + "x" * (MAX_URL - len("http://h/"))
        self.assertEqual(parse_url(fits).url, fits)
        self.assertRaises(QueryNotUnderstoodError, parse_url, fits + "x")

    @given(st.text(max_size=60))
    @settings(max_examples=300, deadline=None)
    def test_what_passes_is_plain(self, rest: str) -> None:
        try:
            target = parse_url("http://" + rest)
        except QueryNotUnderstoodError:
            return
        self.assertEqual(parse_url(target.url), target)
        self.assertTrue(target.url.isascii())
        self.assertRegex(target.url, r"^http://[a-z0-9_.\[\]:-]+/[^\s\\#]*$")


class AllowTests(SynchronousTestCase):
    def allows(self, pattern: str, url: str) -> bool:
        try:
            AllowedHosts([pattern]).admit(parse_url(url))
        except HostNotAllowedError:
            return False
        return True

    def test_patterns(self) -> None:
        for pattern, url, allowed in (
            ("logs.openstack.org", "http://logs.openstack.org/x", True),
            ("logs.openstack.org", "https://LOGS.openstack.org/x", True),
            ("logs.openstack.org", "http://logs.openstack.org:8080/x", False),
            ("logs.openstack.org", "https://logs.openstack.org:80/x", False),
            ("logs.openstack.org", "http://logs.openstack.org.evil.example/", False),
            ("logs.openstack.org", "http://xlogs.openstack.org/", False),
            ("logs.openstack.org:8080", "http://logs.openstack.org:8080/x", True),
            ("logs.openstack.org:8080", "http://logs.openstack.org/x", False),
            ("h:443", "https://h/", True),
            ("h:443", "http://h/", False),
            ("storage.*.cloud.ovh.net", "https://storage.bhs.cloud.ovh.net/v1", True),
            ("storage.*.cloud.ovh.net", "https://storage.a.b.cloud.ovh.net/v1", False),
            ("storage.*.cloud.ovh.net", "https://storage..cloud.ovh.net.evil/", None),
            ("*.ssl.cf*.rackcdn.com", "https://11b-d28.ssl.cf5.rackcdn.com/x", True),
            ("*.ssl.cf*.rackcdn.com", "https://evil.example/.ssl.cf5.rackcdn.com", False),
            ("*.ssl.cf*.rackcdn.com:8000", "https://a.ssl.cf5.rackcdn.com/", False),
            ("127.0.0.1:8080", "http://127.0.0.1:8080/", True),
            ("[::1]:8080", "http://[0:0::1]:8080/", True),
            ("127.0.0.1", "http://0x7f.1/", False),
        ):
            if allowed is None:
                self.assertRaises(QueryNotUnderstoodError, parse_url, url)
            else:
                self.assertEqual(self.allows(pattern, url), allowed, (pattern, url))

    def test_message_helps(self) -> None:
        error = self.assertRaises(
            HostNotAllowedError, AllowedHosts(["a", "b:1"]).admit, parse_url("http://c:81/"), linked_by="x"
        )
        self.assertEqual(
            error.message,
            "x leads to c:81, which is not one of the hosts that this server reads from: a, b:1. "
            "Its operator can add it to log_hosts.",
        )

    def test_bad_patterns(self) -> None:
        for pattern in ("", "*", "*.*", "**.x", "http://h/", "h:x", "h:0", "a b", "h/x", "u@h"):
            self.assertRaises(ConfigError, AllowedHosts, [pattern])
        self.assertTrue(issubclass(ConfigError, StackvizError))
