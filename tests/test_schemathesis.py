# SPDX-License-Identifier: Apache-2.0
"""Whatever ``/api/openapi.json`` allows, and what it does not, asked of the running daemon.

schemathesis makes the requests from the document: its examples, the borders of each schema, random ones, and
chains along its links.  Any 5xx, and any status, media type or member that the document does not name, fails.
The seed is fixed; to go on by hand::

    STACKVIZ_TEST_EXAMPLES=1000 trial tests.test_schemathesis
"""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests import schemathesis_hooks
from tests.daemon import Daemon
from tests.openapi_strict import strict
from tests.test_uploads import STREAM

ROOT = Path(__file__).resolve().parent.parent
TOKEN = "0123456789abcdef" * 4
EXAMPLES = int(os.environ.get("STACKVIZ_TEST_EXAMPLES", "25"))
"""Random requests of each operation; the phases before and after it have as many as the document gives."""
REFUSE_IN_WORDS = ("list", "scrape", "block", "task", "upload")
"""Operations that refuse what no schema can describe: hosts, queries, spans that go back, scrapes that
failed, empty bodies.  Of the others, what fits the document is taken, what does not is refused."""
LONGEST_S = 300

CONFIG = """
hooks = "tests.schemathesis_hooks"
continue-on-failure = true
warnings = false
headers = {{ Authorization = "Bearer {token}" }}

[dictionaries]
{dictionaries}

[parameters]
"path.task_id" = {{ dictionary = "tasks", probability = 0.8 }}
"path.artifact_id" = {{ dictionary = "artifacts", probability = 0.8 }}
"path.span" = {{ dictionary = "spans", probability = 0.7 }}
"body.q" = {{ dictionary = "tasks", probability = 0.8 }}
"body.url" = {{ dictionary = "urls", probability = 0.7 }}
"body.cancel_key" = {{ dictionary = "keys", probability = 0.8 }}

[[operations]]
include-operation-id = "list"
parameters = {{ "body.q" = {{ dictionary = "queries", probability = 0.5 }} }}

[[operations]]
include-operation-id = "admin_delete"
parameters = {{ "path.task_id" = {{ dictionary = "spare", probability = 0.8 }} }}

[[operations]]
include-operation-id = {refuse_in_words}
checks.positive_data_acceptance.enabled = false

[[operations]]
include-operation-id = "upload"
checks.negative_data_rejection.enabled = false  # any body is a file
checks.positive_data_acceptance.enabled = false
"""


class DocumentedTests(SynchronousTestCase):
    def daemon(self) -> Daemon:
        base = Path(self.mktemp()).absolute()
        base.mkdir(parents=True)
        token = base / "admin.token"
        token.write_text(TOKEN, encoding="ascii")
        token.chmod(0o600)
        offline = {"zuuls": [], "gerrits": [], "log_hosts": []}
        daemon = Daemon(base, {**offline, "admin_token_file": str(token)})
        self.addCleanup(daemon.kill)
        daemon.start()
        return daemon

    def known(self, daemon: Daemon) -> dict[str, list[str]]:
        """Values by which the requests meet something."""
        task = daemon.scrape("sample")
        blob = next(one["id"] for one in task["artifacts"] if one["blocks"])
        sent = [daemon.send("/api/upload", STREAM, {})[1] for _ in range(12)]
        for one in sent:
            self.assertEqual(daemon.wait(one["uuid"])["status"], "finished")
        return {
            "tasks": [task["id"]],
            "spare": [one["uuid"] for one in sent],
            "keys": [sent[0]["cancel_key"]],
            "artifacts": [blob, task["artifacts"][0]["id"]],
            "spans": ["0", "0-1", "1-0", "999999999"],
            "urls": [task["url"]],
            "queries": ["sample", "271726,1", "https://logs.openstack.org/26/271726/2/check/job/7c374a7/"],
        }

    def run_against(self, daemon: Daemon, document: dict[str, Any]) -> tuple[int, str, Counter[str]]:
        """Exit status, what was printed, and how often each ``<method> <path> <status> <media type>``."""
        where = daemon.base
        values = self.known(daemon)
        (where / "openapi.json").write_text(json.dumps(document), encoding="utf-8")
        (where / "schemathesis.toml").write_text(
            CONFIG.format(
                token=TOKEN,
                dictionaries="\n".join(
                    f"{name} = {{ values = {json.dumps(them)} }}" for name, them in values.items()
                ),
                refuse_in_words=json.dumps(REFUSE_IN_WORDS),
            ),
            encoding="utf-8",
        )
        command = [sys.executable, "-m", "schemathesis.cli"]
        command += [f"--config-file={where / 'schemathesis.toml'}", "run", str(where / "openapi.json")]
        command += [f"--url=http://127.0.0.1:{daemon.port}", "--request-timeout=30", "--no-color"]
        command += [f"--max-examples={EXAMPLES}", "--seed=5", "--generation-database=none"]
        command += ["--output-sanitize=false"]
        answers = where / "answers.txt"
        done = subprocess.run(
            command,
            cwd=where,
            env={**os.environ, schemathesis_hooks.ANSWERS: str(answers), "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            text=True,
            timeout=LONGEST_S,
        )
        return done.returncode, done.stdout, Counter(answers.read_text(encoding="utf-8").splitlines())

    def test_every_answer_is_documented(self) -> None:
        daemon = self.daemon()
        document = strict(json.loads(daemon.request("GET", "/api/openapi.json")[2]))
        status, said, answers = self.run_against(daemon, document)
        self.assertEqual(status, 0, said)
        met = {answer.rpartition(" ")[0] for answer in answers}
        for path, item in document["paths"].items():
            for method in item.keys() - {"parameters"}:
                wanted = {status for status in item[method]["responses"] if status.startswith("2")}
                label = f"{method.upper()} {path}"
                for one in wanted:
                    self.assertIn(f"{label} {one}", met)
        self.assertIn("POST /api/list 200 application/x-ndjson", answers)
        self.assertEqual(daemon.request("GET", "/health/ready")[0], 200)
        self.assertNotIn("Traceback", daemon.log.read_text(encoding="utf-8", errors="replace"))
