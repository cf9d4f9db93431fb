# SPDX-License-Identifier: Apache-2.0
"""What a node answers that only works; and what it says of its health while Redis is away."""

import json

from stackviz_deployer.web.health import Health
from tests.web.door import SocketCase, StubCase, split
from tests.web.test_site import CLOSE, post


class WorkerTests(StubCase):
    options = {"health_alone": True}  # noqa: RUF012 - as in the base

    def test_health_alone(self) -> None:
        for path in ("/health/live", "/health/ready", "/health"):
            self.assertEqual(self.ask("GET", path).code, 200, path)
        for method, path in (
            ("GET", "/"),
            ("GET", "/api/openapi.json"),
            ("POST", "/api/list"),
            ("POST", "/list"),
            ("GET", "/s/00000000-0000-0000-0000-000000000000/"),
            ("GET", "/api/admin/tasks"),
            ("GET", "/js/api.js"),
        ):
            reply = self.ask(method, path)
            self.assertEqual(reply.code, 404, path)
            person = method == "GET" and not path.startswith("/api/")
            message = reply.body.decode() if person else reply.json["message"]
            self.assertTrue(message.startswith("this node works on tasks; other nodes"), message)


class WorkerUploadTests(SocketCase):
    options = {"health_alone": True}  # noqa: RUF012 - as in the base

    async def test_uploads_are_not_taken_in(self) -> None:
        """Nothing of the body reaches the disk."""
        begun: list[object] = []
        self.patch(self.house.reception, "begin", lambda *given: begun.append(given))
        headers = CLOSE + b"Content-Type: application/octet-stream\r\n"
        answer = await self.raw(post(b"/api/upload", b"x" * 1000, headers))
        self.assertEqual((split(answer)[0], begun), (404, []))


class NotesTests(StubCase):
    def test_notes_are_told_and_the_node_stays_ready(self) -> None:
        facts = {"reasons": [], "notes": ["redis://r:6379/0 cannot be used"]}
        health = Health(version="1", probe=lambda: facts)
        self.house.site.resource._health = health.app.resource()
        self.assertEqual(self.ask("GET", "/health").code, 503)
        self.assertEqual(self.ask("GET", "/health/ready").code, 200)
        facts["reasons"] = ["the disk is full"]
        self.assertEqual(self.ask("GET", "/health/ready").code, 503)
        self.assertEqual(json.loads(self.ask("GET", "/health").body)["status"], "degraded")
