# SPDX-License-Identifier: Apache-2.0
"""The API's answers, call by call."""

import gzip
import json
import socket

from attrs import evolve
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.logger import capturedLogs, formatEvent
from twisted.web.server import Request
from twisted.web.test.requesthelper import DummyChannel

from stackviz_deployer.errors import (
    HostNotAllowedError,
    QueryNotUnderstoodError,
    QueueFullError,
    StoreError,
    UpstreamTimeoutError,
)
from stackviz_deployer.model import Answer, Choice, Progress, Submitted, TaskState
from stackviz_deployer.web.headers import RAW_POLICY
from stackviz_deployer.web.health import Health
from tests.web.door import SocketCase, StubCase, connections
from tests.web.fakes import JOB, URL, UUID, a_task, an_artifact


class ListTests(StubCase):
    def test_answers_the_readme_shape(self) -> None:
        for path in ("/api/list", "/list", "/api/list/"):
            reply = self.post(path, {"q": "271726"})
            self.assertEqual(reply.code, 200)
            self.assertEqual(reply.header("Content-Type"), "application/json")
            self.assertEqual(reply.header("Cache-Control"), "no-store")
            self.assertEqual(list(reply.json), ["results"])
            entry = reply.json["results"][0]
            self.assertEqual(entry["change_id"], 269624)
            self.assertEqual(entry["ci_username"], "jenkins")
            self.assertEqual(entry["url"], URL)
            self.assertEqual(entry["builds"], [])
        self.assertEqual(self.lookup.asked, ["271726"] * 3)

    def test_message_choices_warnings(self) -> None:
        choice = Choice(q="1", change_id=1, change_project="a/b", change_branch="b", change_subject="s")
        self.lookup.answer = Answer(
            message="no results yet",
            choices=(choice,),
            warnings=("zuul is down",),
        )
        self.assertEqual(
            self.post("/api/list", {"q": "I0123"}).json,
            {
                "results": [],
                "message": "no results yet",
                "choices": [
                    {
                        "q": "1",
                        "change_id": 1,
                        "change_project": "a/b",
                        "change_subject": "s",
                        "change_branch": "b",
                    }
                ],
                "warnings": ["zuul is down"],
            },
        )

    def test_number_and_spaces_are_text(self) -> None:
        self.post("/api/list", {"q": 271726})
        self.post("/api/list", {"q": "  271726,1\n"})
        self.assertEqual(self.lookup.asked, ["271726", "271726,1"])

    def test_refused_bodies(self) -> None:
        for body, hint in (
            (b"", "not JSON"),
            (b"q=271726", "not JSON"),
            (b'{"q": "\xff"}', "not JSON"),
            (b'["271726"]', "object"),
            (b"null", "object"),
            (b"{}", '"q" is missing'),
            (b'{"q": ""}', "empty"),
            (b'{"q": "  "}', "empty"),
            (b'{"q": null}', "string"),
            (b'{"q": true}', "string"),
            (b'{"q": 1.5}', "string"),
            (b'{"q": ["271726"]}', "string"),
            (b'{"q": {"q": 1}}', "string"),
            (b"[" * 5000, "not JSON"),
            (json.dumps({"q": "x" * 4097}).encode(), "4096"),
        ):
            reply = self.post("/api/list", body)
            self.assertEqual((reply.code, reply.json["error"]), (400, "invalid-request"), body[:40])
            self.assertIn(hint, reply.json["message"])
        self.assertEqual(self.lookup.asked, [])
        self.assertEqual(self.post("/api/list", {"q": "x" * 4096}).code, 200)

    def test_media_type(self) -> None:
        for given in (
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/json;charset=latin-1",
            "",
        ):
            reply = self.post("/api/list", {"q": "1"}, Content_Type=given)
            self.assertEqual((reply.code, reply.json["error"]), (415, "unsupported-media-type"), given)
        for given in (
            "application/json;charset=UTF-8",
            'Application/JSON; charset="utf-8"',
            "application/json;",
        ):
            self.assertEqual(self.post("/api/list", {"q": "1"}, Content_Type=given).code, 200, given)

    def test_foreign_pages_are_refused(self) -> None:
        for headers in (
            {"Origin": "http://evil.example"},
            {"Origin": "http://site.example:81"},
            {"Origin": "null"},
            {"Origin": "http://site.example.evil.example"},
            {"Origin": "http://[bad"},
            {"Origin": "http://site.example:port"},
            {"Sec_Fetch_Site": "cross-site"},
            {"Sec_Fetch_Site": "same-site"},
            {"Sec_Fetch_Site": "cross-site", "Origin": "http://site.example"},
        ):
            reply = self.post("/api/list", {"q": "1"}, **headers)
            self.assertEqual((reply.code, reply.json["error"]), (403, "foreign-origin"), headers)
        for headers in (
            {"Origin": "http://site.example"},
            {"Origin": "http://SITE.example:80"},
            {"Origin": "https://site.example", "Sec_Fetch_Site": "same-origin"},
            {"Sec_Fetch_Site": "none"},
        ):
            self.assertEqual(self.post("/api/list", {"q": "1"}, **headers).code, 200, headers)

    def test_errors_of_the_lookup(self) -> None:
        for error, code in (
            (QueryNotUnderstoodError("paste a change"), 400),
            (HostNotAllowedError("not that host"), 422),
            (UpstreamTimeoutError("review.example took too long"), 504),
        ):
            self.lookup.answer = error
            reply = self.post("/api/list", {"q": "1"})
            self.assertEqual(reply.code, code)
            self.assertEqual(reply.json, {"error": error.code, "message": error.message})

    def test_bug_says_nothing_of_itself(self) -> None:
        self.lookup.answer = ZeroDivisionError("secret detail")
        reply = self.post("/api/list", {"q": "1"})
        self.assertEqual((reply.code, reply.json["error"]), (500, "internal-error"))
        self.assertNotIn(b"secret", reply.body)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_store_trouble_is_for_the_log(self) -> None:
        self.lookup.answer = StoreError("/var/lib/x is read-only")
        reply = self.post("/api/list", {"q": "1"})
        self.assertEqual((reply.code, reply.json["error"]), (503, "store-failed"))
        self.assertNotIn(b"/var", reply.body)
        self.assertEqual(len(self.flushLoggedErrors(StoreError)), 1)


class ScrapeTests(StubCase):
    def test_entry_of_the_listing_as_it_is(self) -> None:
        entry = self.post("/api/list", {"q": "1"}).json["results"][0]
        for path in ("/api/scrape", "/scrape"):
            reply = self.post(path, entry)
            self.assertEqual(reply.code, 202)
            self.assertEqual(reply.json, {"status": "queued", "uuid": UUID, "cancel_key": "key"})
        self.assertEqual(self.tasks.submits, [(URL, False)] * 2)

    def test_joining(self) -> None:
        self.tasks.outcome = Submitted(task=a_task(TaskState.PENDING))
        reply = self.post("/api/scrape", {"url": URL})
        self.assertEqual((reply.code, reply.json), (202, {"status": "pending", "uuid": UUID}))
        self.tasks.outcome = Submitted(task=a_task(TaskState.FINISHED))
        reply = self.post("/api/scrape", {"url": URL})
        self.assertEqual((reply.code, reply.json), (200, {"status": "finished", "uuid": UUID}))

    def test_force(self) -> None:
        self.post("/api/scrape", {"url": URL, "force": True})
        self.post("/api/scrape", {"url": URL, "force": None})
        self.assertEqual(self.tasks.submits, [(URL, True), (URL, False)])
        self.assertEqual(self.post("/api/scrape", {"url": URL, "force": "yes"}).code, 400)

    def test_build_that_cannot_be_scraped(self) -> None:
        entry = evolve(JOB, url=None, reason="the node was lost").to_json()
        reply = self.post("/api/scrape", entry)
        self.assertEqual((reply.code, reply.json["error"]), (422, "not-scrapable"))
        self.assertIn("the node was lost", reply.json["message"])
        self.assertEqual(self.post("/api/scrape", {"name": "x"}).code, 400)
        self.assertEqual(self.tasks.submits, [])

    def test_full_queue(self) -> None:
        self.tasks.outcome = QueueFullError("1000 scrapes wait")
        with capturedLogs() as events:
            reply = self.post("/api/scrape", {"url": URL})
        said = [formatEvent(event) for event in events]
        self.assertIn("POST /api/scrape answered 503: queue-full: 1000 scrapes wait", said)
        self.assertEqual((reply.code, reply.json["error"]), (503, "queue-full"))
        self.assertEqual(reply.header("Retry-After"), "30")


class TaskTests(StubCase):
    def test_status(self) -> None:
        self.tasks.put(a_task(TaskState.PENDING, progress=Progress(stage="fetching", done=3, total=7)))
        for path in ("/api/status", "/status"):
            reply = self.post(path, {"q": UUID})
            self.assertEqual(reply.code, 200)
            self.assertEqual(
                reply.json,
                {
                    "status": "pending",
                    "uuid": UUID,
                    "job": json.loads(json.dumps(JOB.to_json())),
                    "created_ms": 1000,
                    "progress": {"stage": "fetching", "done": 3, "total": 7},
                },
            )
        self.tasks.put(a_task(TaskState.ERROR, message="gone", error="upstream-error", finished_ms=2000))
        reply = self.post("/api/status", {"q": UUID})
        self.assertEqual(reply.code, 200)
        self.assertEqual(
            {k: reply.json[k] for k in ("status", "message", "error", "finished_ms")},
            {"status": "error", "message": "gone", "error": "upstream-error", "finished_ms": 2000},
        )

    def test_unknown(self) -> None:
        for path in ("/api/status", "/api/task"):
            for q in (UUID, "nonsense!", "../x", "x" * 65):
                reply = self.post(path, {"q": q})
                self.assertEqual((reply.code, reply.json["error"]), (404, "not-found"))

    def test_results(self) -> None:
        blob = self.blobs.add([b"[]"])
        self.tasks.put(a_task(warnings=("a test was lost",), finished_ms=5000))
        self.tasks.made[UUID] = [
            an_artifact(blob, meta={"count": 0}),
            an_artifact(blob, "id-2", artifact_type="dstat", primary=False, content_type="text/csv"),
        ]
        for path in ("/api/task", "/task"):
            reply = self.post(path, {"q": UUID}, Content_Type="application/json;charset=UTF-8")
            self.assertEqual(reply.code, 200)
            data = reply.json
            self.assertEqual(
                {k: data[k] for k in ("id", "name", "url", "status", "pipeline", "change_id", "revision")},
                {
                    "id": UUID,
                    "name": "gate-tempest-dsvm-full",
                    "url": URL,
                    "status": "SUCCESS",
                    "pipeline": "check",
                    "change_id": 269624,
                    "revision": 19,
                },
            )
            self.assertEqual(data["warnings"], ["a test was lost"])
            self.assertEqual(
                data["artifacts"][0],
                {
                    "id": "79f81039-d51c-46af-a8cb-13e31efe1a57",
                    "artifact_type": "subunit",
                    "artifact_name": "testrepository.subunit",
                    "primary": True,
                    "content_type": "application/json",
                    "content_encoding": "gzip",
                    "size": blob.size,
                    "form": 1,
                    "blocks": False,
                    "meta": {"count": 0},
                },
            )
            self.assertEqual([a["artifact_type"] for a in data["artifacts"]], ["subunit", "dstat"])

    def test_no_results(self) -> None:
        for state, code, error in (
            (TaskState.QUEUED, 409, "not-ready"),
            (TaskState.PENDING, 409, "not-ready"),
            (TaskState.ERROR, 422, "task-failed"),
            (TaskState.CANCELLED, 422, "task-failed"),
            (TaskState.EXPIRED, 410, "expired"),
        ):
            self.tasks.put(a_task(state, message="the log server said 404" if code == 422 else None))
            reply = self.post("/api/task", {"q": UUID})
            self.assertEqual((reply.code, reply.json["error"]), (code, error))
            if code == 422:
                self.assertEqual(reply.json["message"], "the log server said 404")

    def test_cancel(self) -> None:
        self.tasks.put(a_task(TaskState.PENDING))
        reply = self.post("/api/cancel", {"q": UUID, "cancel_key": "wrong"})
        self.assertEqual((reply.code, reply.json["error"]), (403, "cancel-refused"))
        self.assertEqual(self.post("/api/cancel", {"q": UUID}).code, 400)
        reply = self.post("/api/cancel", {"q": UUID, "cancel_key": "key"})
        self.assertEqual((reply.code, reply.json["status"]), (200, "cancelled"))
        self.assertEqual(self.tasks.cancelled, [UUID])
        self.assertEqual(self.post("/cancel", {}).code, 405)


class RecentTests(StubCase):
    def test_sites(self) -> None:
        self.assertEqual(self.get("/api/recent").json, {"sites": []})
        self.tasks.put(a_task(finished_ms=2_000))
        reply = self.get("/api/recent")
        self.assertEqual((reply.code, reply.header("Cache-Control")), (200, "no-store"))
        [site] = reply.json["sites"]
        self.assertEqual((site["uuid"], site["status"], site["finished_ms"]), (UUID, "finished", 2_000))
        self.assertEqual(site["job"]["change_subject"], JOB.change_subject)
        self.assertNotIn("cancel_key", site)

    def test_only_read(self) -> None:
        self.assertEqual(self.post("/api/recent", {}).code, 405)


class RoutingTests(StubCase):
    def test_nothing_there(self) -> None:
        for path in (
            "/api",
            "/api/",
            "/api/nothing",
            "/api/list/more",
            "/blob",
            "/health/nothing",
            "/api/%ff",
        ):
            reply = self.get(path)
            self.assertEqual((reply.code, reply.json["error"]), (404, "not-found"), path)
            self.assertEqual(reply.header("Content-Type"), "application/json")

    def test_wrong_method(self) -> None:
        for method, path, allow in (
            ("GET", "/api/list", "POST"),
            ("GET", "/status", "POST"),
            ("POST", "/api/blob/x", "GET, HEAD"),
            ("PUT", "/api/blob/x", "GET, HEAD"),
            ("OPTIONS", "/api/task", "POST"),
            ("DELETE", "/health", "GET, HEAD"),
        ):
            reply = self.ask(method, path)
            self.assertEqual((reply.code, reply.json["error"]), (405, "method-not-allowed"), path)
            self.assertEqual(reply.header("Allow"), allow)

    def test_openapi(self) -> None:
        reply = self.get("/api/openapi.json", Accept_Encoding="gzip")
        self.assertEqual(reply.code, 200)
        self.assertEqual((reply.json["openapi"], reply.json["info"]["version"]), ("3.1.0", "1.2.3"))
        etag = str(reply.header("ETag"))
        self.assertEqual(self.get("/api/openapi.json", Accept_Encoding="gzip", If_None_Match=etag).code, 304)


class HealthTests(StubCase):
    def test_well(self) -> None:
        self.tasks.report = {"queued": 3, "reasons": []}
        self.assertEqual(
            self.get("/health").json, {"status": "ok", "reasons": [], "version": "1.2.3", "queued": 3}
        )
        self.assertEqual(self.get("/health/ready").json, {"status": "ok", "reasons": []})
        self.assertEqual(self.get("/health/live").json, {"status": "ok"})

    def test_degraded(self) -> None:
        self.tasks.report = {"queued": 3, "reasons": ["the queue is full"]}
        for path in ("/health", "/health/ready"):
            reply = self.get(path)
            self.assertEqual(reply.code, 503)
            self.assertEqual(
                (reply.json["status"], reply.json["reasons"]), ("degraded", ["the queue is full"])
            )
        self.assertEqual(self.get("/health/live").code, 200)

    def test_who_asks_from_elsewhere_reads_the_status_alone(self) -> None:
        self.tasks.report = {"queued": 3, "reasons": ["/var/lib/x: the disk is full"]}
        for name in ("X-Forwarded-For", "Forwarded", "Via"):
            for path in ("/health", "/health/ready"):
                reply = self.ask("GET", path, {name: "127.0.0.1"})
                self.assertEqual((reply.code, reply.json), (503, {"status": "degraded"}))
        health = Health(version="1", probe=self.tasks.health)
        for address, here in (
            (IPv4Address("TCP", "127.0.0.9", 1), True),
            (IPv6Address("TCP", "::1", 1), True),
            (IPv6Address("TCP", "::ffff:127.0.0.1", 1), True),
            (UNIXAddress(b"/run/x"), True),
            (IPv4Address("TCP", "192.0.2.2", 1), False),
            (IPv6Address("TCP", "fe80::1%eth0", 1), False),
            (IPv6Address("TCP", "::ffff:192.0.2.2", 1), False),
        ):
            request = Request(DummyChannel(), False)
            request.getClientAddress = lambda address=address: address
            self.assertEqual("reasons" in json.loads(health.ready(request)), here, address)


class BlobTests(StubCase):
    def setUp(self) -> None:
        super().setUp()
        self.texts = [b'{"a": 1,\n' + b" " * 70_000, b'"b": 2,\n' * 9000, b'"c": 3}\n']
        self.blob = self.blobs.add(self.texts)
        self.tasks.made[UUID] = [
            an_artifact(self.blob, "whole"),
            an_artifact(evolve(self.blob, blocks=False), "flat"),
            an_artifact(evolve(self.blob, hash="gone", blocks=False), "gone"),
            an_artifact(self.blob, "markup", content_type="text/html"),
        ]

    def test_whole(self) -> None:
        for path in ("/api/blob/whole", "/blob/whole"):
            reply = self.get(path, Accept_Encoding="gzip")
            self.assertEqual(reply.code, 200)
            self.assertEqual(reply.wire, (self.blobs.directory / self.blob.hash).read_bytes())
            self.assertEqual(reply.header("Content-Encoding"), "gzip")
            self.assertEqual(reply.header("Content-Type"), "application/json")
            self.assertEqual(reply.header("Cache-Control"), "public, max-age=31536000, immutable")
            self.assertEqual(reply.header("Vary"), "Accept-Encoding")

    def test_plain(self) -> None:
        for encoding in ("identity", "gzip;q=0, br", None):
            reply = self.get("/api/blob/whole", **({"Accept_Encoding": encoding} if encoding else {}))
            self.assertEqual(reply.wire, b"".join(self.texts))
            self.assertIsNone(reply.header("Content-Encoding"))
            self.assertEqual(reply.header("Vary"), "Accept-Encoding")
            self.assertEqual(reply.header("ETag"), f'"{self.blob.hash}-plain"')

    def test_head(self) -> None:
        reply = self.ask("HEAD", "/api/blob/whole", {"Accept-Encoding": "gzip"})
        self.assertEqual((reply.code, reply.body), (200, b""))
        self.assertEqual(reply.header("Content-Length"), str(self.blob.size))
        reply = self.ask("HEAD", "/api/blob/whole")
        self.assertEqual((reply.code, reply.body, reply.header("Content-Encoding")), (200, b"", None))

    def test_not_modified(self) -> None:
        etag = f'"{self.blob.hash}"'
        for given in (etag, f"W/{etag}", f'"other", {etag}', "*"):
            reply = self.get("/api/blob/whole", Accept_Encoding="gzip", If_None_Match=given)
            self.assertEqual((reply.code, reply.body), (304, b""), given)
            self.assertEqual(reply.header("ETag"), etag)
        self.assertEqual(self.get("/api/blob/whole", If_None_Match='"other"').code, 200)

    def test_unknown_and_gone(self) -> None:
        for path in (
            "/api/blob/unknown",
            "/api/blob/a%2Fb",
            "/api/blob/..",
            "/api/blob/gone",
            "/api/blob/%00",
        ):
            reply = self.get(path)
            expected = (410, "data-lost") if path.endswith("gone") else (404, "not-found")
            self.assertEqual((reply.code, reply.json["error"]), expected, path)
            self.assertEqual(reply.header("Cache-Control"), "no-store")
            self.assertIsNone(reply.header("ETag"))
            self.assertIsNone(reply.header("Content-Encoding"))

    def test_as_it_is_stored(self) -> None:
        stored = (self.blobs.directory / self.blob.hash).read_bytes()
        for encoding in ({}, {"Accept_Encoding": "gzip"}):
            reply = self.get("/api/blob/whole/gzip", **encoding)
            self.assertEqual((reply.code, reply.wire), (200, stored))
            self.assertIsNone(reply.header("Content-Encoding"))
            self.assertEqual(reply.header("Content-Type"), "application/gzip")
            self.assertEqual(reply.header("Content-Disposition"), "attachment")
        head = self.ask("HEAD", "/api/blob/whole/gzip", {})
        self.assertEqual((head.body, head.header("Content-Length")), (b"", str(len(stored))))
        self.assertEqual(self.house.keeper.uses, [UUID] * 3)
        etag = reply.header("ETag")
        self.assertEqual(etag, f'"{self.blob.hash}-gzip"')
        self.assertEqual(self.get("/api/blob/whole/gzip", If_None_Match=str(etag)).code, 304)
        for artifact, refusal in (("unknown", (404, "not-found")), ("gone", (410, "data-lost"))):
            reply = self.get(f"/api/blob/{artifact}/gzip")
            self.assertEqual((reply.code, reply.json["error"]), refusal)

    def test_only_text_is_shown_and_it_can_do_nothing(self) -> None:
        for path, wanted in (
            ("/api/blob/markup", "attachment"),
            ("/api/blob/whole", "attachment"),
            ("/api/blob/whole/gzip", "attachment"),
            ("/api/blob/whole/blocks", "attachment"),
            ("/api/blob/whole/blocks/0", None),
        ):
            reply = self.get(path)
            self.assertEqual((reply.code, reply.header("Content-Disposition")), (200, wanted), path)
            etag = str(reply.header("ETag"))
            for one in (reply, self.get(path, If_None_Match=etag)):
                self.assertEqual(one.header("Content-Security-Policy"), RAW_POLICY.decode(), path)
        self.assertIn("text/plain", str(reply.header("Content-Type")))
        self.assertIn("sandbox;", RAW_POLICY.decode())

    def test_index(self) -> None:
        reply = self.get("/api/blob/whole/blocks")
        self.assertEqual((reply.code, reply.json), (200, {"version": 1, "blocks": []}))
        reply = self.get("/api/blob/flat/blocks")
        self.assertEqual((reply.code, reply.json["error"]), (404, "not-found"))

    def test_blocks(self) -> None:
        for span, first, last in (
            ("0", 0, 0),
            ("1", 1, 1),
            ("2", 2, 2),
            ("0-2", 0, 2),
            ("1-2", 1, 2),
            ("1-1", 1, 1),
        ):
            plain = self.get(f"/api/blob/whole/blocks/{span}")
            reply = self.get(f"/api/blob/whole/blocks/{span}", Accept_Encoding="gzip")
            self.assertEqual((plain.code, reply.code), (200, 200))
            self.assertEqual(plain.wire, reply.body)
            self.assertEqual(reply.wire[:2], b"\x1f\x8b")
            self.assertEqual(reply.body, b"".join(self.texts[first : last + 1]), span)
            self.assertEqual(reply.header("Content-Type"), "text/plain; charset=utf-8")
            self.assertIn("immutable", str(reply.header("Cache-Control")))

    def test_impossible_blocks(self) -> None:
        for span, code in (("3", 404), ("2-3", 404), ("2-1", 400), ("x", 400), ("-1", 400), ("0-256", 400)):
            self.assertEqual(self.get(f"/api/blob/whole/blocks/{span}").code, code, span)
        self.assertEqual(self.get("/api/blob/whole/blocks/0-255").code, 404)  # allowed, but not there
        self.assertEqual(self.get("/api/blob/flat/blocks/0").code, 404)

    def test_torn_file_is_not_taken_for_whole(self) -> None:
        path = self.blobs.directory / self.blob.hash
        path.write_bytes(path.read_bytes()[:-20])
        for encoding in ("gzip", "identity"):
            d = self.start("GET", "/api/blob/whole", {"Accept-Encoding": encoding})
            self.failureResultOf(d)
            self.assertEqual(len(self.flushLoggedErrors(EOFError)), 1)

    def test_gzip_module_reads_the_fake(self) -> None:
        self.assertEqual(
            gzip.decompress((self.blobs.directory / self.blob.hash).read_bytes()), b"".join(self.texts)
        )


class WaitingTests(StubCase):
    def test_slow_lookup(self) -> None:
        self.lookup.answer = waiting = Deferred()
        d = self.start("POST", "/api/list", {"Content-Type": "application/json"}, b'{"q": "1"}')
        self.assertNoResult(d)
        waiting.callback(Answer(message="at last"))
        self.agent.flush()
        self.assertEqual(self.successResultOf(d).json["message"], "at last")


class LookUpInPartsTests(StubCase):
    """``Accept: application/x-ndjson``."""

    def setUp(self) -> None:
        super().setUp()
        self.lookup.answer = self.waiting = Deferred()

    def look_up(self, accept: str = "application/x-ndjson, application/json;q=0.5") -> Deferred:
        headers = {"Content-Type": "application/json", "Accept": accept}
        return self.start("POST", "/api/list", headers, b'{"q": "1"}')

    def lines(self) -> list:
        self.agent.flush()
        return [json.loads(line) for line in b"".join(self.collector.chunks).splitlines()]

    def test_lines(self) -> None:
        self.lookup.parts = [Answer(asking=("a", "b"))]
        d = self.look_up()
        self.assertEqual(self.lines(), [{"results": [], "asking": ["a", "b"]}])
        self.lookup.tell(Answer(results=(JOB,), asking=("b",)))
        self.assertEqual([line["asking"] for line in self.lines()], [["a", "b"], ["b"]])
        self.assertNoResult(d)
        self.waiting.callback(Answer(results=(JOB,), warnings=("b is down",)))
        self.agent.flush()
        reply = self.successResultOf(d)
        self.assertEqual((reply.code, reply.header("Content-Type")), (200, "application/x-ndjson"))
        self.assertEqual(reply.header("Cache-Control"), "no-store")
        self.lookup.answer = Answer(results=(JOB,), warnings=("b is down",))
        self.assertEqual(self.lines()[-1], self.post("/api/list", {"q": "1"}).json)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_an_error_at_once_is_an_ordinary_answer(self) -> None:
        self.lookup.answer = QueryNotUnderstoodError("what?")
        reply = self.successResultOf(self.look_up())
        self.assertEqual((reply.code, reply.header("Content-Type")), (400, "application/json"))
        self.assertEqual(reply.json["message"], "what?")
        self.assertIsNone(reply.header("X-Accel-Buffering"))

    def test_an_error_later_is_the_last_line(self) -> None:
        self.lookup.parts = [Answer(asking=("a",))]
        d = self.look_up()
        self.waiting.errback(UpstreamTimeoutError("a did not answer."))
        self.agent.flush()
        self.assertEqual(self.successResultOf(d).code, 200)
        wanted = {"error": "upstream-timeout", "message": "a did not answer.", "status": 504}
        self.assertEqual(self.lines()[-1], wanted)

    def test_only_for_who_names_it(self) -> None:
        self.lookup.answer = Answer()
        for accept in ("*/*", "application/json", "application/*", "application/x-ndjson;q=0"):
            reply = self.successResultOf(self.look_up(accept))
            self.assertEqual(reply.header("Content-Type"), "application/json", accept)


class LongLineTests(SocketCase):
    BIG = Answer(results=(evolve(JOB, change_subject="x" * (4 << 20)),))

    async def test_a_long_line_goes_at_its_reader_s_pace(self) -> None:
        self.house.lookup.answer = self.BIG
        for told in ([], [self.BIG]):  # the newest of two lines takes the place of none that has begun
            self.house.lookup.parts = told
            client = self.connect(receive_bytes=4096)
            client.sendall(look_up(b"Connection: close\r\n"))
            await self.until(lambda: bool(connections() and connections()[0].protocol._stalled))
            (transport,) = connections()
            self.assertLess(len(transport.dataBuffer) + transport._tempDataLen, 300_000)
            got = await deferToThread(self.read, client)
            lines = b"".join(got.partition(b"\r\n\r\n")[2].split(b"\r\n")[1::2]).splitlines()
            self.assertEqual(len(lines), 1 + len(told))
            for line in lines:
                self.assertEqual(json.loads(line)["results"][0]["change_subject"], "x" * (4 << 20))
            await self.until(lambda: not connections())

    def read(self, client: socket.socket) -> bytes:
        got = b""
        while chunk := client.recv(1 << 20):
            got += chunk
        return got


def look_up(head: bytes = b"") -> bytes:
    sent = b'{"q": "1"}'
    return (
        b"POST /api/list HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n%s"
        b"Accept: application/x-ndjson\r\nContent-Length: %d\r\n\r\n%s" % (head, len(sent), sent)
    )


class LostClientTests(SocketCase):
    async def test_who_hangs_up_ends_the_look_up(self) -> None:
        gone: list[str] = []
        self.house.lookup.parts = [Answer(asking=("a",))]
        self.house.lookup.answer = Deferred(lambda _: gone.append("gone"))
        client = self.connect()
        client.sendall(look_up())
        await self.until(lambda: self.house.lookup.tell is not None)
        client.close()
        await self.until(lambda: gone == ["gone"])
