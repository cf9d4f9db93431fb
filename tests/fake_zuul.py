# SPDX-License-Identifier: Apache-2.0
"""A small real HTTP server that answers like Zuul's REST API, from given builds.

As a module: ``FakeZuul({"tenant": builds})`` is a resource, ``listen(reactor, fake)`` serves it.  As a
script: ``python -m tests.fake_zuul --port 8080 [--builds FILE] [--shape flat] [--white-label TENANT]
[--mode slow] [--base /zuul/]`` runs until killed; ``--builds`` names a JSON mapping of tenants to lists of
builds to be served besides ``TENANTS``.

A build is kept in the shape since 10.0 (``ref`` beside the build); ``shape="flat"`` shows it as 9.3 and
before did.  The data of its own are the builds of fake_gerrit's change 948311 and what its
comments do not tell: retries, a recheck that runs, a skipped job.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from twisted.internet.defer import Deferred
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

MODES = ("ok", "slow", "drip", "html", "garbage", "cut", "deep", "list", "503", "401")
SHAPES = ("nested", "flat")
WILD = ("project", "pipeline", "branch", "job_name")
SWIFT = "https://storage.gra.cloud.ovh.net/v1/AUTH_dcaab5e32b234d56b626f72581e3644c"
REVIEW = "https://review.opendev.org"


def ref(
    project: str, change: int | None, patchset: int | None, *, review: str = REVIEW, newrev: str | None = None
) -> dict[str, Any]:
    """What a build is of, as ``RefConverter`` tells it."""
    if change is None:
        name, url = "refs/heads/master", f"https://opendev.org/{project}/commit/{newrev}"
    else:
        name = f"refs/changes/{change % 100:02}/{change}/{patchset}"
        url = f"{review}/c/{project}/+/{change}"
    return {
        "project": project,
        "branch": "master",
        "change": change,
        "patchset": None if patchset is None else str(patchset),
        "ref": name,
        "oldrev": None,
        "newrev": newrev,
        "ref_url": url,
    }


def build(
    of: Mapping[str, Any],
    name: str,
    uuid: str | None,
    result: str | None = "SUCCESS",
    *,
    pipeline: str = "check",
    start: str | None = "2025-04-30T10:00:00",
    end: str | None = "2025-04-30T10:06:05",
    duration: float | None = 365.0,
    log_url: str | None = "",
    final: bool = True,
    voting: bool = True,
    error_detail: str | None = None,
    buildset: str = "f495c3661ca346a198c80a01387d6ba4",
    manifest: bool = True,
) -> dict[str, Any]:
    """A build as ``BuildConverter`` tells it; ``log_url`` "" = where OpenDev puts it today."""
    if log_url == "":
        log_url = f"{SWIFT}/zuul_opendev_logs_{str(uuid)[:3]}/openstack/{uuid}/"
    artifacts: list[dict[str, Any]] = []
    if log_url is not None:
        artifacts = [
            {
                "name": "Download all logs",
                "url": f"{log_url}download-logs.sh",
                "metadata": {"command": f'curl "{log_url}download-logs.sh" | bash'},
            },
            {"name": "No metadata", "url": f"{log_url}x"},
        ]
        if manifest:
            artifacts.append(
                {
                    "name": "Zuul Manifest",
                    "url": f"{log_url}zuul-manifest.json",
                    "metadata": {"type": "zuul_manifest"},
                }
            )
    return {
        "_id": 0,
        "uuid": uuid,
        "job_name": name,
        "result": result,
        "held": False,
        "execute_time": start,
        "start_time": start,
        "end_time": end,
        "duration": duration,
        "voting": voting,
        "log_url": log_url,
        "nodeset": "ubuntu-noble",
        "error_detail": error_detail,
        "final": final,
        "artifacts": artifacts,
        "provides": [],
        "ref": dict(of),
        "pipeline": pipeline,
        "event_id": "00000000000000000000000000000001",
        "event_timestamp": "2025-04-30T09:59:58",
        "queue_item_uuid": "00000000000000000000000000000002",
        "buildset": {"uuid": buildset},
    }


def running(of: Mapping[str, Any], name: str, uuid: str, **more: Any) -> dict[str, Any]:
    """A build that has not ended."""
    return build(of, name, uuid, None, end=None, duration=None, log_url=None, **more)


NOVA = ref("openstack/nova", 948311, 8)
PEP8 = "0123456789abcdef0123456789abcdef"
NEXT = "736ff6efec4c4a22a103401bcd321d8d"
ARM = "00000000000000000000000000000014"


def opendev_builds() -> list[dict[str, Any]]:
    """Newest first."""
    later = {"start": "2025-04-30T13:00:00", "end": "2025-04-30T13:20:00"}
    return [
        running(NOVA, "tempest-full", "c" * 32, start="2025-04-30T14:00:00", buildset="e" * 32),
        build(NOVA, "nova-skipped", None, "SKIPPED", start=None, duration=None, log_url=None),
        build(
            NOVA, "nova-multinode", "d" * 32, "NODE_FAILURE", start=None, duration=0.0, log_url=None,
            error_detail="Node(set) request 300 failed",
        ),
        build(NOVA, "tempest-full", "b" * 32, "FAILURE", duration=4323.0, **later),
        build(NOVA, "openstack-tox-arm64", ARM, pipeline="check-arm64", voting=False, buildset="a" * 32),
        build(
            NOVA, "nova-next", NEXT, "RETRY_LIMIT", log_url=None, error_detail="Host unreachable",
            end="2025-04-30T10:50:00",
        ),
        build(NOVA, "nova-next", "2" * 32, "RETRY", final=False, end="2025-04-30T10:40:00"),
        build(NOVA, "nova-next", "1" * 32, "RETRY", final=False, end="2025-04-30T10:30:00"),
        build(NOVA, "openstack-tox-pep8", PEP8),
    ]  # fmt: skip


TENANTS = {"openstack": opendev_builds(), "opendev": [], "zuul": []}


class FakeZuul(Resource):
    """``<base>api/...`` of Zuul; ``mode`` (one of MODES), ``shape`` and ``tenants`` may be changed."""

    isLeaf = True

    def __init__(
        self,
        tenants: Mapping[str, Iterable[dict[str, Any]]],
        *,
        base: str = "/",
        white_label: str | None = None,
        shape: str = "nested",
        mode: str = "ok",
    ) -> None:
        super().__init__()
        self.tenants = {name: list(builds) for name, builds in tenants.items()}
        self.base = base
        self.white_label = white_label
        self.shape = shape
        self.mode = mode
        self.slow_tenants: set[str] = set()
        self.asked: list[str] = []
        self.arrived: Deferred[str] | None = None
        """Fires with the URI of the next request."""

    def render_GET(self, request: Request) -> bytes | int:
        uri = request.uri.decode("ascii", "replace")
        self.asked.append(uri)
        request.notifyFinish().addErrback(lambda _: None)
        waiting, self.arrived = self.arrived, None
        if waiting is not None:
            waiting.callback(uri)
        request.setHeader("content-type", "application/json; charset=utf-8")
        request.setHeader("access-control-allow-origin", "*")
        if self.mode == "slow":
            return NOT_DONE_YET
        if self.mode == "drip":
            request.write(b"[{")
            return NOT_DONE_YET
        if self.mode in ("503", "401"):
            return self.failed(request, int(self.mode), "Unavailable")
        nonsense = {
            "html": b"<!DOCTYPE html><html><title>Zuul</title></html>",
            "garbage": b"\x00\xff\xfe not json",
            "cut": b'[{"job_name": "x", "re',
            "deep": b"[" * 100_000,
            "list": b'"a text"',
        }
        return nonsense[self.mode] if self.mode in nonsense else self.answer(request)

    def answer(self, request: Request) -> bytes | int:
        path = request.path.decode("ascii", "replace")
        if not path.startswith(f"{self.base}api/"):
            return self.failed(request, 404, "Not Found")
        rest = path[len(self.base) + 4 :]
        if rest == "info":
            return self.json({"info": {"tenant": self.white_label, "websocket_url": None}})
        if rest == "tenants":
            return self.json([{"name": name, "projects": 1, "queue": 0} for name in self.tenants])
        tenant = self.white_label
        if tenant is None:
            match = re.fullmatch(r"tenant/([^/]+)/(.+)", rest)
            if match is None:
                return self.failed(request, 404, "Not Found")
            tenant, rest = unquote(match[1]), match[2]
        if tenant not in self.tenants:
            return self.failed(request, 404, "Unknown tenant")
        if tenant in self.slow_tenants:
            return NOT_DONE_YET
        builds = self.tenants[tenant]
        kind, _, uuid = rest.partition("/")
        if kind == "builds" and not uuid:
            return self.json([self.shown(one) for one in found(builds, request.args)])
        if kind == "build":
            return self.one(request, [self.shown(one, refs=True) for one in builds if one["uuid"] == uuid])
        if kind == "buildset":
            return self.one(request, self.buildset(uuid, builds))
        return self.failed(request, 404, "Not Found")

    def one(self, request: Request, entries: Sequence[dict[str, Any]]) -> bytes:
        return self.json(entries[0]) if entries else self.failed(request, 404, "Build not found")

    def shown(self, entry: Mapping[str, Any], *, refs: bool = False) -> dict[str, Any]:
        """A build on its own."""
        entry = json.loads(json.dumps(entry))
        if self.shape == "nested":
            if refs:
                entry["buildset"]["refs"] = [entry["ref"]]
            return entry
        of = entry.pop("ref")
        of.pop("oldrev")
        return {**entry, **of}

    def buildset(self, uuid: str, builds: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        own = [one for one in builds if one["buildset"]["uuid"] == uuid]
        if not own:
            return []
        nested = [json.loads(json.dumps(one)) for one in own]
        for one in nested:
            for key in ("pipeline", "event_id", "event_timestamp", "queue_item_uuid", "buildset"):
                del one[key]
            if self.shape == "flat":
                del one["ref"]
        first = own[0]
        head = {"_id": 1, "uuid": uuid, "result": "FAILURE", "message": None, "pipeline": first["pipeline"]}
        of = {"refs": [first["ref"]]} if self.shape == "nested" else {**first["ref"]}
        return [{**head, **of, "builds": nested, "events": []}]

    def json(self, value: Any) -> bytes:
        return json.dumps(value).encode()

    def failed(self, request: Request, status: int, text: str) -> bytes:
        """As CherryPy's pages."""
        request.setResponseCode(status)
        request.setHeader("content-type", "text/html;charset=utf-8")
        return f"<!DOCTYPE html><html><body><h2>{status}</h2><p>{text}</p></body></html>".encode()


def found(builds: Sequence[dict[str, Any]], args: Mapping[bytes, Sequence[bytes]]) -> list[dict[str, Any]]:
    """What the query of ``/builds`` lets through."""
    asked = {key.decode(): [value.decode() for value in values] for key, values in args.items()}
    limit, skip = int(asked.pop("limit", ["50"])[0]), int(asked.pop("skip", ["0"])[0])
    result = [one for one in builds if all(fits(one, key, values) for key, values in asked.items())]
    return result[skip : skip + limit]


def fits(entry: Mapping[str, Any], key: str, wanted: Sequence[str]) -> bool:
    value = entry["ref"][key] if key in entry["ref"] else entry.get(key)
    text = str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)
    return any(fnmatchcase(text, one) if key in WILD else text == one for one in wanted)


def listen(reactor: Any, fake: FakeZuul, port: int = 0) -> Any:
    """Serve on loopback; the listening port, whose ``getHost().port`` is the number."""
    site = Site(fake)
    site.noisy = False
    return reactor.listenTCP(port, site, interface="127.0.0.1")


def main(argv: Sequence[str]) -> None:
    from twisted.internet import reactor

    parser = argparse.ArgumentParser(prog="python -m tests.fake_zuul", description="A Zuul for tests.")
    parser.add_argument("--port", type=int, required=True, help="on 127.0.0.1; 0 = any, which is printed")
    parser.add_argument("--builds", type=Path, help="a JSON mapping of tenants to lists of builds")
    parser.add_argument("--shape", choices=SHAPES, default="nested")
    parser.add_argument("--white-label", help="the only tenant, which the paths do not name")
    parser.add_argument("--mode", choices=MODES, default="ok")
    parser.add_argument("--base", default="/", help="the path it lives under")
    options = parser.parse_args(argv)
    tenants = dict(TENANTS)
    if options.builds:
        tenants |= json.loads(options.builds.read_text(encoding="utf-8"))
    fake = FakeZuul(
        tenants,
        base=options.base,
        white_label=options.white_label,
        shape=options.shape,
        mode=options.mode,
    )
    port = listen(reactor, fake, options.port)
    if options.port == 0:
        print(port.getHost().port, flush=True)  # noqa: T201  for whoever started the script
    reactor.run()


if __name__ == "__main__":
    main(sys.argv[1:])
