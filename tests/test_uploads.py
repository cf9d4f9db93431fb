# SPDX-License-Identifier: Apache-2.0
"""Results of one's own through the front door of the real daemon, sent as people send them."""

import gzip
import http.client
import io
import json
import shutil
import socket
import subprocess
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Any, ClassVar

from twisted.trial.unittest import TestCase

from tests.daemon import Daemon

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "stackviz_deployer" / "sample" / "gate-tempest-dsvm-full"
STREAM = gzip.decompress((SAMPLE / "logs" / "testrepository.subunit.gz").read_bytes())
DSTAT = (SAMPLE / "logs" / "dstat-csv.txt.gz").read_bytes()
CONSOLE = (SAMPLE / "console.html.gz").read_bytes()
LIMIT = 8 << 20


def a_tar(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def a_zip(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in files.items():
            made.writestr(name, data)
    return out.getvalue()


def a_form(*parts: tuple[str, bytes]) -> tuple[bytes, dict[str, str]]:
    body = b""
    for name, data in parts:
        head = f'--B\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
        body += head.encode() + data + b"\r\n"
    return body + b"--B--\r\n", {"Content-Type": "multipart/form-data; boundary=B"}


class DaemonCase(TestCase):
    timeout = 300
    limits: ClassVar[dict[str, Any]] = {
        "upload_bytes": LIMIT,
        "total_bytes": "24 MiB",
        "artifact_bytes": "16 MiB",
    }

    def setUp(self) -> None:
        base = Path(tempfile.mkdtemp(prefix="stackviz-deployer-"))
        self.addCleanup(shutil.rmtree, base)
        self.daemon = Daemon(base, {"limits": self.limits, "scrapes": 1, "workers": 1})
        self.daemon.start()
        self.addCleanup(self.daemon.stop)

    def send(self, body: Any, query: str = "", headers: dict[str, str] | None = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.daemon.port, timeout=60)
        try:
            connection.request("POST", f"/api/upload{query}", body, headers or {})
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def queued(self, *args: Any) -> str:
        status, answer = self.send(*args)
        self.assertEqual((status, answer["status"]), (202, "queued"), answer)
        self.assertIn("cancel_key", answer)
        return str(answer["uuid"])

    def finished(self, *args: Any) -> dict[str, Any]:
        return self.end_of(self.queued(*args))

    def end_of(self, uuid: str) -> dict[str, Any]:
        end = self.daemon.wait(uuid)
        self.assertEqual(end["status"], "finished", end)
        status, task = self.daemon.post("/api/task", {"q": uuid})
        self.assertEqual(status, 200)
        self.assertTrue(task["url"].startswith("upload:"))
        return dict(task)

    def failed(self, *args: Any) -> dict[str, Any]:
        end = self.daemon.wait(self.queued(*args))
        self.assertEqual(end["status"], "error", end)
        return end

    def shown(self, task: dict[str, Any]) -> list[tuple[str, str]]:
        return [
            (one["artifact_type"], one["artifact_name"])
            for one in task["artifacts"]
            if not one["artifact_type"].startswith("subunit-")
        ]

    def left(self) -> list[Path]:
        return [*(self.daemon.state / "uploads").iterdir(), *(self.daemon.state / "tmp").iterdir()]

    def check_nothing_left(self) -> None:
        """The last discard may still be on its way when its task's end is told; a stop waits for it."""
        self.daemon.stop()
        self.assertEqual(self.left(), [])


class FormTests(DaemonCase):
    def test_as_people_send_them(self) -> None:
        task = self.finished(STREAM, "?name=testrepository.subunit")
        self.assertEqual(self.shown(task), [("subunit", "testrepository.subunit")])
        self.assertEqual(task["name"], "testrepository.subunit")
        tests = json.loads(self.daemon.blob(task["artifacts"][0]["id"]))
        self.assertGreater(len(tests), 50)

        # in chunks, without a name
        task = self.finished(iter([STREAM[at : at + 30_000] for at in range(0, len(STREAM), 30_000)]))
        self.assertEqual(self.shown(task), [("subunit", "upload.subunit")])
        self.assertEqual(json.loads(self.daemon.blob(task["artifacts"][0]["id"])), tests)

        task = self.finished(*self.form(("12", STREAM), ("load", DSTAT), ("console.html.gz", CONSOLE)))
        self.assertEqual(
            sorted(self.shown(task)),
            [("console", "console.html"), ("dstat", "load.dstat.csv"), ("subunit", "12.subunit")],
        )
        self.assertEqual((task["name"], task["status"]), ("gate-tempest-dsvm-full", "FAILURE"))

        files = {"job-7/logs/testrepository.subunit": STREAM, "job-7/console.html": CONSOLE, "job-7/x": b"x"}
        for body, name in ((a_tar(files), "job-7.tar.gz"), (a_zip(files), "job-7.zip")):
            task = self.finished(body, f"?name={name}")
            self.assertEqual(
                sorted(self.shown(task)), [("console", "console.html"), ("subunit", "testrepository.subunit")]
            )
            self.assertEqual(task["name"], "job-7")
            self.assertIn("job-7/x", task["warnings"][0])

        # dstat alone is worth a page, when somebody sends it
        self.assertEqual(self.shown(self.finished(DSTAT, "?name=dstat.csv")), [("dstat", "dstat.csv")])
        status, _, page = self.daemon.request("GET", f"/s/{task['id']}/")
        self.assertEqual(status, 200, page)
        self.check_nothing_left()

    def test_the_log_names_the_task_and_not_the_upload(self) -> None:
        sent = self.finished(STREAM, "?name=testrepository.subunit")
        failed = self.failed(b"hello, world", "?name=notes.txt")
        self.check_nothing_left()
        log = self.daemon.log.read_text()
        for task_id, url in ((sent["id"], sent["url"]), (failed["uuid"], failed["job"]["url"])):
            upload_id = url.removeprefix("upload:").rstrip("/")
            self.assertEqual(len(upload_id), 36)
            self.assertNotEqual(upload_id, task_id)
            self.assertIn(f"{task_id} is queued for upload:", log)
            self.assertNotIn(upload_id, log)

    def form(self, *parts: tuple[str, bytes]) -> tuple[bytes, str, dict[str, str]]:
        body, headers = a_form(*parts)
        return body, "", headers

    def test_curl(self) -> None:
        """As README shows it."""
        url = f"http://127.0.0.1:{self.daemon.port}/api/upload"
        raw = ["curl", "-sS", "--data-binary", "@-", f"{url}?name=testrepository.subunit"]
        piped = ["curl", "-sS", "-T-", "-X", "POST", f"{url}?name=nightly.tar"]
        (self.daemon.base / "old.subunit").write_bytes(STREAM)
        form = ["curl", "-sS", "-F", "file=@old.subunit", "-F", "file=@old.subunit;filename=new.subunit", url]
        for command, body, names in (
            (raw, STREAM, ["testrepository.subunit"]),
            (piped, a_tar({"logs/testrepository.subunit": STREAM}), ["testrepository.subunit"]),
            (form, b"", ["new.subunit", "old.subunit"]),
        ):
            done = subprocess.run(command, input=body, capture_output=True, check=True, cwd=self.daemon.base)
            task = self.end_of(json.loads(done.stdout)["uuid"])
            self.assertEqual(sorted(name for _, name in self.shown(task)), names)


class HostileTests(DaemonCase):
    def test_archives(self) -> None:
        before = sorted(path.name for path in self.daemon.base.iterdir())
        names = ["../../../../../../slip.subunit", "/tmp/slip.subunit", "..\\slip.subunit"]
        for pack in (a_tar, a_zip):
            task = self.finished(pack(dict.fromkeys(names, STREAM)))
            self.assertEqual(len(self.shown(task)), 3)
        self.assertEqual(sorted(path.name for path in self.daemon.base.iterdir()), before)
        self.assertFalse(Path("/tmp/slip.subunit").exists())

        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as tar:
            for kind, name in (
                (tarfile.SYMTYPE, "a.subunit"),
                (tarfile.LNKTYPE, "b.subunit"),
                (tarfile.CHRTYPE, "c"),
            ):
                info = tarfile.TarInfo(name)
                info.type, info.linkname = kind, "/etc/passwd"
                tar.addfile(info)
        self.assertEqual(self.failed(out.getvalue())["error"], "no-artifacts")

        # a bomb: 10 KB that are 64 MiB, and one of many entries
        bomb = a_zip({f"{n}.subunit": bytes(8 << 20) for n in range(8)})
        self.assertLess(len(bomb), 100_000)
        self.assertEqual(self.failed(bomb)["error"], "too-large")
        self.assertEqual(self.failed(a_tar({"0.subunit": bytes(64 << 20)}))["error"], "too-large")
        many = self.failed(a_zip({f"{n}.txt": b"" for n in range(20_001)}))
        self.assertEqual(many["error"], "too-large")
        self.finished(STREAM)  # it goes on
        self.check_nothing_left()

    def test_unknown(self) -> None:
        end = self.failed(b"hello, world", "?name=notes.txt")
        self.assertEqual(end["error"], "no-artifacts")
        for words in ("notes.txt", "subunit", "JUnit", "dstat", "job-output", "tar or zip"):
            self.assertIn(words, end["message"])
        self.assertIn(
            "not-scrapable", self.daemon.post("/api/scrape", {"url": end["job"]["url"]})[1]["error"]
        )
        form = self.failed(b"--B\r\ntorn", "", {"Content-Type": "multipart/form-data; boundary=B"})
        self.assertEqual(form["error"], "parse-failed")
        self.check_nothing_left()

    def test_too_large_and_cut_off(self) -> None:
        status, answer = self.send(iter([bytes(1 << 20)] * 9))
        self.assertEqual((status, answer["error"]), (413, "request-too-large"))
        self.assertIn("8 MiB", answer["message"])
        with socket.create_connection(("127.0.0.1", self.daemon.port)) as client:
            client.sendall(b"POST /api/upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000000\r\n\r\n")
            client.sendall(STREAM[:400_000])
        self.finished(STREAM)
        self.check_nothing_left()


class KillTests(DaemonCase):
    limits: ClassVar[dict[str, Any]] = {"upload_bytes": LIMIT}

    def test_what_was_answered_is_not_forgotten(self) -> None:
        """Killed between 202 and the end: each is finished by the next one, and nothing stays behind."""
        several = a_tar({f"{n}.subunit": STREAM * 5 for n in range(8)})
        uuids = [self.queued(several, f"?name=run-{n}.tar") for n in range(4)]
        with socket.create_connection(("127.0.0.1", self.daemon.port)) as client:
            client.sendall(b"POST /api/upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000000\r\n\r\n")
            client.sendall(bytes(600_000))
            while not any(path.suffix == ".part" for path in self.left()):
                pass
            self.daemon.kill()
        left = [path.name for path in self.left()]
        waiting = [name for name in left if len(name) == 36]
        self.assertTrue(waiting, "all had ended before the kill: make them larger")
        self.daemon.start()
        for number, uuid in enumerate(uuids):
            task = self.end_of(uuid)
            self.assertEqual(task["name"], f"run-{number}")
            self.assertEqual(len(self.shown(task)), 8)
        self.check_nothing_left()
