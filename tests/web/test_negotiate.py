# SPDX-License-Identifier: Apache-2.0
"""Accept-Encoding and If-None-Match."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.server import Request
from twisted.web.test.requesthelper import DummyChannel

from stackviz_deployer.web.negotiate import accepts_gzip, not_modified


def request(**headers: str | list[str]) -> Request:
    made = Request(DummyChannel(), False)
    for name, value in headers.items():
        made.requestHeaders.setRawHeaders(
            name.replace("_", "-"), [value] if isinstance(value, str) else value
        )
    return made


class AcceptEncodingTests(SynchronousTestCase):
    def test_table(self) -> None:
        for value, wanted in (
            ("gzip", True),
            ("gzip, deflate, br, zstd", True),
            ("GZIP;q=0.5", True),
            ("x-gzip", True),
            ("*", True),
            ("deflate, gzip ; q=1.0", True),
            ("gzip;q=0", False),
            ("gzip; Q=0.000, *", False),
            ("*;q=0", False),
            ("*;q=0, gzip", True),
            ("identity", False),
            ("br", False),
            ("gzipped", False),
            ("gzip;q=x", False),
            ("", False),
            (["identity", "gzip"], True),
        ):
            self.assertEqual(accepts_gzip(request(Accept_Encoding=value)), wanted, value)
        self.assertFalse(accepts_gzip(request()))

    @given(st.binary(max_size=60))
    def test_anything(self, value: bytes) -> None:
        made = Request(DummyChannel(), False)
        made.requestHeaders.setRawHeaders(b"Accept-Encoding", [value])
        made.requestHeaders.setRawHeaders(b"If-None-Match", [value])
        self.assertIn(accepts_gzip(made), (True, False))
        self.assertIn(not_modified(made, b'"x"'), (True, False))


class IfNoneMatchTests(SynchronousTestCase):
    def test_table(self) -> None:
        for value, wanted in (
            ('"a"', True),
            ('W/"a"', True),
            ('"b","a"', True),
            ("*", True),
            ('"b"', False),
            ("a", False),
            ('"a-gz"', False),
            ("", False),
        ):
            made = request(If_None_Match=value)
            self.assertEqual(not_modified(made, b'"a"'), wanted, value)
            self.assertEqual(made.code, 304 if wanted else 200)
            self.assertEqual(made.responseHeaders.getRawHeaders("ETag"), ['"a"'])
