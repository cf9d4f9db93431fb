# SPDX-License-Identifier: Apache-2.0
"""What a look-up tells while some of its sources have not answered."""

import json

from twisted.internet.defer import CancelledError, Deferred

from stackviz_deployer.errors import NotFoundError, UpstreamUnreachableError
from stackviz_deployer.lookup.service import BESIDE_SECONDS
from stackviz_deployer.model import Answer
from stackviz_deployer.settings import ZuulServer
from tests.fake_gerrit import README_CHANGES
from tests.fake_zuul import NOVA, build
from tests.lookup.test_service import BASE, LookupTestCase, body

GERRIT, ZUUL, LATE = "review.opendev.org", "zuul.example.org", "late.example.org"
(README,) = [entry for entry in README_CHANGES if entry["_number"] == 271726]


class PartsTests(LookupTestCase):
    zuuls = tuple(ZuulServer(url=f"https://{host}/", tenants=("a",)) for host in (ZUUL, LATE))

    def setUp(self) -> None:
        super().setUp()
        self.parts: list[Answer] = []
        self.given_up: list[str] = []
        self.gerrit = self.fetcher.answers[f"{BASE}271726"] = Deferred()
        self.zuul, self.late = (self.pending(host) for host in (ZUUL, LATE))

    def pending(self, host: str, path: str = "builds") -> Deferred[bytes]:
        d: Deferred[bytes] = Deferred(lambda _: self.given_up.append(host))
        self.fetcher.answers[f"https://{host}/api/tenant/a/{path}"] = d
        return d

    def ask(self, q: str = "271726") -> Deferred[Answer]:
        return self.start(self.lookup.find(q, self.parts.append))

    def told(self) -> list[tuple[int, tuple[str, ...]]]:
        return [(len(part.results), part.asking) for part in self.parts]

    def test_each_source_as_it_answers(self) -> None:
        d = self.ask()
        self.assertEqual(self.told(), [(0, (GERRIT, ZUUL, LATE))])
        self.gerrit.callback(body(README))
        self.assertEqual(self.told()[1:], [(6, (ZUUL, LATE))])
        self.zuul.errback(UpstreamUnreachableError("zuul.example.org is down."))
        self.assertEqual(self.told()[2:], [(6, (LATE,))])
        self.assertEqual(self.parts[2].warnings, ("zuul.example.org is down.",))
        self.assertNoResult(d)
        self.clock.advance(BESIDE_SECONDS)
        answer = self.successResultOf(d)
        self.assertEqual((len(answer.results), answer.asking, len(self.parts)), (6, (), 3))
        self.assertEqual(
            answer.warnings,
            ("zuul.example.org is down.", "late.example.org did not answer within 8 seconds."),
        )

    def test_nothing_is_missing_before_all_have_answered(self) -> None:
        d = self.ask()
        self.gerrit.errback(NotFoundError("review.opendev.org: no change 271726."))
        self.zuul.callback(b"[]")
        self.assertEqual(self.told()[1:], [(0, (ZUUL, LATE)), (0, (LATE,))])
        self.assertEqual({part.message for part in self.parts}, {None})
        self.late.callback(b"[]")
        self.failureResultOf(d, NotFoundError)

    def test_what_is_known_already_is_not_told_in_parts(self) -> None:
        self.gerrit.callback(body(README))
        for zuul in (self.zuul, self.late):
            zuul.callback(b"[]")
        self.successResultOf(self.ask())
        self.parts.clear()
        self.successResultOf(self.ask())
        self.assertEqual(self.parts, [])

    def test_who_goes_ends_the_questions(self) -> None:
        d = self.ask()
        self.gerrit.callback(body(README))
        d.cancel()
        self.failureResultOf(d, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.given_up, [ZUUL, LATE])
        self.assertEqual(len(self.parts), 2)

    def test_a_build_of_one_zuul_is_there_before_the_others_answer(self) -> None:
        entry = build(NOVA, "nova-next", "736ff6efec4c4a22a103401bcd321d8d")
        uuid, number = entry["uuid"], entry["ref"]["change"]
        zuul = self.pending(ZUUL, f"build/{uuid}")
        late = self.pending(LATE, f"build/{uuid}")
        d = self.ask(uuid)
        zuul.callback(json.dumps(entry).encode())
        self.assertEqual(self.told(), [(0, (ZUUL, LATE)), (1, (LATE,))])
        place = f"{BASE}{entry['ref']['project'].replace('/', '%2F')}~{number}"
        gerrit = self.fetcher.answers[place] = Deferred()
        late.errback(NotFoundError("unknown"))
        self.assertEqual(self.told()[-1], (1, (GERRIT,)))
        gerrit.errback(UpstreamUnreachableError("review.opendev.org is down."))
        answer = self.successResultOf(d)
        self.assertEqual((len(answer.results), answer.warnings), (1, ("review.opendev.org is down.",)))
