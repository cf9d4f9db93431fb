# SPDX-License-Identifier: Apache-2.0
import errno

from twisted.internet.error import ConnectError, ConnectionDone, ConnectionLost, NoRouteError
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseFailed
from twisted.web.http import PotentialDataLoss

from stackviz_deployer.net.upstream import explain, retry_after_s

NOW = 1_454_988_780.0  # Tue, 09 Feb 2016 03:33:00 GMT


class RetryAfterTests(SynchronousTestCase):
    def test_forms(self) -> None:
        for value, expected in (
            (None, None),
            ("", None),
            ("soon", None),
            ("-1", None),
            ("0", 0.0),
            (" 120 ", 120.0),
            ("9" * 500, 999_999_999.0),
            ("٣", None),
            ("Tue, 09 Feb 2016 03:34:00 GMT", 60.0),
            ("Tuesday, 09-Feb-16 03:34:00 GMT", 60.0),
            ("Tue, 09 Feb 2016 03:34:00", 60.0),
            ("Tue, 09 Feb 2016 03:30:00 GMT", 0.0),
            ("Tue, 99 Feb 2016 03:30:00 GMT", None),
        ):
            self.assertEqual(retry_after_s(value, NOW), expected, value)


class ExplainTests(SynchronousTestCase):
    def test_our_own_mistakes_stay_visible(self) -> None:
        self.assertIsNone(explain(ZeroDivisionError(), "h", "http://h/x"))

    def test_why_it_cannot_be_reached(self) -> None:
        for error, words in (
            (NoRouteError(errno.EHOSTUNREACH, "No route to host"), "No route to host"),
            (ConnectError(string="something else"), "something else"),
            (ConnectError(OSError(errno.ENETDOWN, "Network is down")), "Network is down"),
        ):
            trouble = explain(error, "h", "http://h/x")
            assert trouble is not None
            self.assertEqual(trouble.error.message, f"h cannot be reached: {words}.")

    def test_which_of_a_jobs_files_was_cut(self) -> None:
        for error in (ConnectionDone(), ResponseFailed([Failure(ConnectionLost())]), PotentialDataLoss()):
            trouble = explain(error, "h", "http://h/x")
            assert trouble is not None
            self.assertIn(" http://h/x", trouble.error.message)
