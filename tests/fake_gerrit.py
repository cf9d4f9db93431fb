# SPDX-License-Identifier: Apache-2.0
"""A small real HTTP server that answers like Gerrit, from given changes.

As a module: ``FakeGerrit(changes)`` is a resource, ``listen(reactor, fake)`` serves it.  As a script:
``python -m tests.fake_gerrit --port 8080 [--changes FILE] [--mode slow] [--base /r/]`` runs until killed;
``--changes`` names a JSON list of ChangeInfo to be served besides ``README_CHANGES``.

Its own data are the examples of the original's README, 271726 and 269624, an OpenDev change of today,
one that several CIs speak about, and one without results.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from zlib import crc32

from twisted.internet.defer import Deferred
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

JENKINS = {"_account_id": 3, "name": "Jenkins", "username": "jenkins", "email": "jenkins@example.org"}
ZUUL = {"_account_id": 22348, "name": "Zuul", "username": "zuul", "tags": ["SERVICE_USER"]}
PERSON = {"_account_id": 9708, "name": "Ada", "username": "ada", "email": "ada@example.org"}
OPTIONS = {
    "LABELS", "DETAILED_LABELS", "CURRENT_REVISION", "ALL_REVISIONS", "DETAILED_ACCOUNTS", "MESSAGES",
    "REVIEWER_UPDATES",
}  # fmt: skip
MODES = ("ok", "slow", "drip", "html", "garbage", "cut", "deep", "503", "401")


def log_url(number: int, patchset: int, pipeline: str, job: str, uuid: str) -> str:
    """As Jenkins wrote it: without a slash at the end."""
    return f"http://logs.openstack.org/{number % 100:02}/{number}/{patchset}/{pipeline}/{job}/{uuid}"


def message(
    author: dict[str, Any] | None, date: str, text: str, patchset: int | None, tag: str | None = None
) -> dict[str, Any]:
    """A ChangeMessageInfo; what is None is absent, as in Gerrit."""
    optional = {"author": author, "_revision_number": patchset, "tag": tag}
    return {
        "id": f"{crc32(text.encode()):x}",
        "date": f"{date}.000000000",
        "message": text,
        **{key: value for key, value in optional.items() if value is not None},
    }


def jenkins_comment(  # noqa: PLR0917  a row of a table
    number: int,
    patchset: int,
    pipeline: str,
    date: str,
    jobs: Iterable[tuple[str, str, str]],
    vote: str = "+1",
) -> dict[str, Any]:
    """A result of 2016; ``jobs``: name, short uuid, and what stands behind the colon."""
    jobs = list(jobs)
    verb = "succeeded" if vote.startswith("+") else "failed"
    how = "" if verb == "succeeded" else (
        "  For information on how to proceed, see "
        "http://docs.openstack.org/infra/manual/developers.html#automated-testing"
    )  # fmt: skip
    lines = [f"- {job} {log_url(number, patchset, pipeline, job, uuid)} : {said}" for job, uuid, said in jobs]
    text = f"Patch Set {patchset}: Verified{vote}\n\nBuild {verb} ({pipeline} pipeline).{how}\n\n"
    return message(JENKINS, date, text + "\n".join(lines) + "\n", patchset)


def change(  # noqa: PLR0917  a row of a table
    number: int,
    project: str,
    subject: str,
    patchset: int,
    messages: Sequence[dict[str, Any]],
    status: str = "NEW",
) -> dict[str, Any]:
    """A ChangeInfo with all that any option would give."""
    sha = f"{number:040x}"
    return {
        "id": f"{project.replace('/', '%2F')}~{number}",
        "project": project,
        "branch": "master",
        "change_id": f"I{number:040x}",
        "subject": subject,
        "status": status,
        "created": "2016-01-22 20:11:00.000000000",
        "updated": "2016-02-05 20:11:00.000000000",
        "_number": number,
        "owner": PERSON,
        "current_revision": sha,
        "revisions": {sha: {"kind": "REWORK", "_number": patchset}},
        "messages": list(messages),
    }


def readme_changes() -> list[dict[str, Any]]:
    """The changes of the original's README, with the builds that its examples name."""
    stackviz = change(
        271726,
        "openstack/stackviz",
        "Add nprogress progress bars to timeline and test-details.",
        2,
        [
            message(PERSON, "2016-01-22 20:11:00", "Uploaded patch set 1.", 1),
            jenkins_comment(
                271726, 1, "check", "2016-01-22 20:20:00",
                [
                    ("gate-stackviz-pep8", "11aa0b1", "SUCCESS in 2m 02s"),
                    ("gate-stackviz-python27", "22bb0c2", "FAILURE in 3m 10s"),
                    ("gate-stackviz-python34", "33cc0d3", "SUCCESS in 3m 12s"),
                ],
                "-1",
            ),
            message(PERSON, "2016-02-04 17:00:00", "Uploaded patch set 2.", 2),
            jenkins_comment(
                271726, 2, "check", "2016-02-04 17:10:00",
                [
                    ("gate-stackviz-python27", "1fa90c2", "SUCCESS in 3m 01s"),
                    ("gate-stackviz-pep8", "7c374a7", "SUCCESS in 1m 59s"),
                    ("gate-stackviz-python34", "c0ffee1", "SUCCESS in 3m 04s"),
                ],
            ),
            message(PERSON, "2016-02-05 19:00:00", "Patch Set 2: Code-Review+2 Workflow+1", 2),
            jenkins_comment(
                271726, 2, "gate", "2016-02-05 20:10:00",
                [
                    ("gate-stackviz-pep8", "0ddba11", "SUCCESS in 2m 06s"),
                    ("gate-stackviz-python27", "937cf7b", "SUCCESS in 2m 58s"),
                    ("gate-stackviz-python34", "deadbee", "SUCCESS in 3m 00s"),
                ],
                "+2",
            ),
            message(None, "2016-02-05 20:11:00", "Change has been successfully merged", None),
        ],
        "MERGED",
    )  # fmt: skip
    cinder = change(
        269624,
        "openstack/cinder",
        "Support for consistency groups in ScaleIO driver",
        20,
        [
            jenkins_comment(
                269624, 19, "check", "2016-02-07 09:00:00",
                [
                    ("gate-cinder-pep8", "aa11bb2", "SUCCESS in 4m 31s"),
                    ("gate-tempest-dsvm-full", "5ca1ab1", "FAILURE in 1h 11m 40s"),
                ],
                "-1",
            ),
            message(PERSON, "2016-02-07 10:00:00", "Patch Set 19:\n\nrecheck", 19),
            jenkins_comment(
                269624, 19, "check", "2016-02-08 12:00:00",
                [
                    ("gate-cinder-pep8", "bb22cc3", "SUCCESS in 4m 29s"),
                    ("gate-cinder-python27", "cc33dd4", "SUCCESS in 12m 00s"),
                    ("gate-tempest-dsvm-full", "84f9b4a", "SUCCESS in 1h 03m 30s"),
                    ("gate-tempest-dsvm-neutron-full", "dd44ee5", "FAILURE in 58m 02s (non-voting)"),
                ],
            ),
            message(PERSON, "2016-02-09 03:00:00", "Uploaded patch set 20.", 20),
        ],
    )  # fmt: skip
    return [stackviz, cinder]


def later_changes() -> list[dict[str, Any]]:
    """What Zuul and third parties write."""
    builds = "https://zuul.opendev.org/t/openstack/build"
    nova = change(
        948311,
        "openstack/nova",
        "libvirt: say why",
        8,
        [
            message(
                PERSON, "2025-04-30 09:00:00", "Uploaded patch set 8.", 8, "autogenerated:gerrit:newPatchSet"
            ),
            message(
                ZUUL,
                "2025-04-30 09:01:00",
                "Patch Set 8:\n\nStarting check jobs.",
                8,
                "autogenerated:zuul:check",
            ),
            message(
                ZUUL,
                "2025-04-30 11:00:00",
                "Patch Set 8: Verified+1\n\nBuild succeeded (check pipeline).\n"
                "https://zuul.opendev.org/t/openstack/buildset/f495c3661ca346a198c80a01387d6ba4\n\n"
                f"- openstack-tox-pep8 {builds}/0123456789abcdef0123456789abcdef : SUCCESS in 6m 05s\n"
                f"- nova-next {builds}/736ff6efec4c4a22a103401bcd321d8d : "
                "RETRY_LIMIT Host unreachable in 2m 01s\n",
                8,
                "autogenerated:zuul:check",
            ),
            message(
                ZUUL,
                "2025-04-30 11:30:00",
                "Patch Set 8:\n\nBuild succeeded (ARM64 pipeline).\n\n"
                f"- openstack-tox-arm64 {builds}/00000000000000000000000000000014 : "
                "SUCCESS in 7m 00s (non-voting)\n",
                8,
                "autogenerated:zuul:check-arm64",
            ),
            message(
                {"_account_id": 9, "name": "Acme Storage CI", "username": "acme-ci"},
                "2025-04-30 12:00:00",
                "Patch Set 8:\n\nBuild succeeded (check pipeline).\n\n"
                "- acme-tempest http://logs.acme.invalid/11/948311/8/check/acme-tempest/abcdef0 : "
                "SUCCESS in 50m 00s\n",
                8,
            ),
        ],
    )
    quiet = change(
        300001,
        "openstack/stackviz",
        "Not tested yet",
        1,
        [message(PERSON, "2016-02-09 03:00:00", "Uploaded patch set 1.", 1)],
    )
    return [nova, quiet]


class FakeGerrit(Resource):
    """``/changes/<id>[/detail]?o=...`` and ``/changes/?q=...`` of Gerrit.

    ``mode`` (one of MODES) may be changed at any time.
    """

    isLeaf = True

    def __init__(self, changes: Iterable[dict[str, Any]], *, base: str = "/", mode: str = "ok") -> None:
        super().__init__()
        self.changes = {entry["_number"]: entry for entry in changes}
        self.base = base
        self.mode = mode
        self.asked: list[str] = []
        self.arrived: Deferred[str] | None = None
        """Fires with the path of the next request."""
        self.left: Deferred[str] | None = None
        """Fires with the path of the next request that is given up before it was answered."""

    def render_GET(self, request: Request) -> bytes | int:
        path = request.path.decode("ascii", "replace")
        self.asked.append(path)
        request.notifyFinish().addErrback(lambda _: self.tell("left", path))
        self.tell("arrived", path)
        request.setHeader("content-type", "application/json; charset=UTF-8")
        if self.mode == "slow":
            return NOT_DONE_YET
        if self.mode == "drip":
            request.write(b")]}'\n")
            return NOT_DONE_YET
        if self.mode in ("503", "401"):
            return self.plain(request, int(self.mode), "Try later" if self.mode == "503" else "Unauthorized")
        nonsense = {
            "html": b"<!DOCTYPE html><html><title>Sign in</title></html>",
            "garbage": b")]}'\n\x00\xff\xfe not json",
            "cut": b')]}\'\n{"_number": 271726, "messages": [{"mess',
            "deep": b")]}'\n" + b"[" * 100_000,
        }
        return nonsense[self.mode] if self.mode in nonsense else self.answer(request, path)

    def tell(self, what: str, path: str) -> None:
        waiting = getattr(self, what)
        setattr(self, what, None)
        if waiting is not None:
            waiting.callback(path)

    def answer(self, request: Request, path: str) -> bytes:
        if path == f"{self.base}changes/":
            return self.searched(request)
        match = re.fullmatch(
            re.escape(self.base) + r"changes/(?:([^/~]+)~)?([0-9]+)(/detail)?", path, re.ASCII
        )
        if match is None:
            return self.plain(request, 404, "Not Found")
        project, number, detail = match.groups()
        options = {value.decode() for value in request.args.get(b"o", [])}
        if options - OPTIONS:
            return self.plain(request, 400, f'"{min(options - OPTIONS)}" is not a valid value for "-o"')
        found = self.changes.get(int(number))
        if found is None or (project is not None and unquote(project) != found["project"]):
            return self.plain(request, 404, f"Not found: {match[1] + '~' if match[1] else ''}{number}")
        if detail:
            options |= {"LABELS", "DETAILED_LABELS", "DETAILED_ACCOUNTS", "MESSAGES"}
        return b")]}'\n" + json.dumps(shown(found, options)).encode() + b"\n"

    def searched(self, request: Request) -> bytes:
        """``?q=change:I...``, ``I...``, ``project:...``; anything else finds nothing, "(" is an error."""
        (q,) = request.args[b"q"]
        limit = int(request.args.get(b"n", [b"500"])[0])
        field, _, value = q.decode().rpartition(":")
        if value == "(":
            return self.plain(request, 400, "line 1:1 no viable alternative at character ')'")
        key = "project" if field == "project" else "change_id"
        fitting = [entry for entry in self.changes.values() if entry[key] == value]
        answer = [shown(entry, set()) for entry in fitting[:limit]]
        if len(fitting) > limit:
            answer[-1]["_more_changes"] = True
        return b")]}'\n" + json.dumps(answer).encode() + b"\n"

    def plain(self, request: Request, status: int, text: str) -> bytes:
        request.setResponseCode(status)
        request.setHeader("content-type", "text/plain; charset=UTF-8")
        return f"{text}\n".encode()


def shown(entry: dict[str, Any], options: set[str]) -> dict[str, Any]:
    """What of a change the options ask for."""
    entry = dict(entry)
    if not options & {"CURRENT_REVISION", "ALL_REVISIONS"}:
        del entry["current_revision"], entry["revisions"]
    if "MESSAGES" not in options:
        del entry["messages"]
    elif "DETAILED_ACCOUNTS" not in options:
        entry["messages"] = [
            {**one, "author": {"name": one["author"]["name"]}} if "author" in one else one
            for one in entry["messages"]
        ]
    return entry


def listen(reactor: Any, fake: FakeGerrit, port: int = 0) -> Any:
    """Serve on loopback; the listening port, whose ``getHost().port`` is the number."""
    site = Site(fake)
    site.noisy = False
    return reactor.listenTCP(port, site, interface="127.0.0.1")


README_CHANGES = readme_changes() + later_changes()


def main(argv: Sequence[str]) -> None:
    from twisted.internet import reactor

    parser = argparse.ArgumentParser(prog="python -m tests.fake_gerrit", description="A Gerrit for tests.")
    parser.add_argument("--port", type=int, required=True, help="on 127.0.0.1; 0 = any, which is printed")
    parser.add_argument("--changes", type=Path, help="a JSON list of further ChangeInfo")
    parser.add_argument("--mode", choices=MODES, default="ok")
    parser.add_argument("--base", default="/", help="the path it lives under")
    options = parser.parse_args(argv)
    more = json.loads(options.changes.read_text(encoding="utf-8")) if options.changes else []
    fake = FakeGerrit([*README_CHANGES, *more], base=options.base, mode=options.mode)
    port = listen(reactor, fake, options.port)
    if options.port == 0:
        print(port.getHost().port, flush=True)  # noqa: T201  for whoever started the script
    reactor.run()


if __name__ == "__main__":
    main(sys.argv[1:])
