#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make the sample job that ships with the package: ``python bench/make_sample.py``.

Writes ``stackviz_deployer/sample/``: a tempest run on devstack as Jenkins left it in
2016 (console.html, logs/testrepository.subunit, logs/dstat-csv.txt, all gzipped) and
``jobs.json`` with its facts.  All texts are invented, the formats are real.  The story that a
person should be able to read off the site: a disk stall 14 minutes into the run makes
three servers time out, one class cannot be set up, and one test never ends because its worker
is killed.  Same code, same bytes.
"""

from __future__ import annotations

import datetime as dt
import gzip
import heapq
import io
import json
import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from subunit.v2 import StreamResultToBytes

OUT = Path(__file__).resolve().parent.parent / "stackviz_deployer" / "sample"
NAME = "gate-tempest-dsvm-full"
START = dt.datetime(2016, 6, 1, 12, 0, 0, tzinfo=dt.UTC)
TESTS_AT, STALL, RUN = 620.0, (840.0, 905.0), 1180.0  # seconds after START
WORKERS = 4
TEXT, TRACEBACK = 'text/plain;charset="utf8"', 'text/x-traceback;charset="utf8";language="python"'
AREAS = {
    "compute.servers": [
        "server_actions",
        "create_server",
        "server_rescue",
        "attach_interfaces",
        "server_tags",
    ],
    "compute.volumes": ["attach_volume", "volumes_list", "volume_snapshots"],
    "compute.images": ["images_metadata", "list_image_filters"],
    "network": ["networks", "routers", "floating_ips", "security_groups", "ports", "allowed_address_pair"],
    "identity.v3": ["users", "tokens", "projects", "domains", "roles"],
    "volume": ["volumes_actions", "volumes_get", "volumes_snapshots", "volume_metadata"],
    "image.v2": ["images", "images_tags", "images_member"],
    "object_storage": ["container_services", "object_services", "account_quotas"],
}
VERBS = ["create", "list", "show", "update", "delete", "reboot", "resize", "attach", "detach", "rename"]
SKIPS = [
    "Volume backup is not available.",
    "Suspend is not available.",
    "Skipped until Bug: 1205344 is resolved.",
    "Cells v1 does not support this operation",
]


def at(seconds: float) -> dt.datetime:
    return START + dt.timedelta(microseconds=round(seconds * 1e6))


def uuid(r: random.Random) -> str:
    h = f"{r.getrandbits(128):032x}"
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


def stalled(seconds: float) -> bool:
    return STALL[0] <= seconds <= STALL[1]


def logging_text(r: random.Random, begin: float, duration: float, cls: str, method: str) -> bytes:
    """The requests of a test, as tempest's rest_client logs them."""
    lines = []
    count = max(1, min(14, round(duration * 1.5)))
    for n in range(count):
        stamp = at(begin + duration * (n + 0.5) / count).strftime("%Y-%m-%d %H:%M:%S,%f")[:-3]
        code, verb, ident = (
            r.choice((200, 200, 200, 201, 202, 204, 404)),
            r.choice(("GET", "GET", "POST")),
            uuid(r),
        )
        took = 0.02 + r.random() * (9 if stalled(begin) else 0.4)
        lines.append(
            f"{stamp} 15713 INFO     [tempest.lib.common.rest_client] Request ({cls}:{method}): "
            f"{code} {verb} http://127.0.0.1:8774/v2.1/servers/{ident} {took:.3f}s\n"
            f"{stamp} 15713 DEBUG    [tempest.lib.common.rest_client] Request - Headers: "
            "{'Content-Type': 'application/json', 'X-Auth-Token': '<omitted>'}\n"
            f"        Body: None\n    Response - Headers: {{'status': '{code}', "
            f"'x-compute-request-id': 'req-{uuid(r)}'}}\n"
        )
        if took > 5:
            lines.append(f"{stamp} 15713 WARNING  [tempest.common.waiters] slow answer ({took:.1f} s)\n")
    return "".join(lines).encode()


def traceback(r: random.Random, cls: str, method: str, last: str) -> bytes:
    frames = [
        (f"tempest/api/{cls.lower()}.py", method, "server = self.create_test_server(wait_until='ACTIVE')"),
        ("tempest/api/compute/base.py", "create_test_server", "wait_until=wait_until, **kwargs)"),
        ("tempest/common/compute.py", "create_test_server", "server['id'], wait_until)"),
        ("tempest/common/waiters.py", "wait_for_server_status", "raise exceptions.TimeoutException(message)"),
    ]
    text = "Traceback (most recent call last):\n"
    for file, function, code in frames:
        text += f'  File "{file}", line {r.randint(40, 400)}, in {function}\n    {code}\n'
    return (text + last + "\n").encode()


class Stream:
    """Events of all workers, written in the order of their times."""

    def __init__(self) -> None:
        self.heap: list[tuple[float, int, dict[str, Any]]] = []

    def add(self, seconds: float, **event: Any) -> None:
        event["timestamp"] = at(seconds)
        heapq.heappush(self.heap, (seconds, len(self.heap), event))

    def attach(self, seconds: float, name: str, content: bytes, mime: str, **event: Any) -> None:
        self.add(seconds, file_name=name, file_bytes=content, eof=True, mime_type=mime, **event)

    def write(self) -> bytes:
        out = io.BytesIO()
        result = StreamResultToBytes(out)
        for _, _, event in sorted(self.heap, key=lambda entry: entry[:2]):
            result.status(**event)
        return out.getvalue()


def names(r: random.Random) -> Iterator[tuple[str, str, str]]:
    """(class with module, class, method), a class at a time."""
    while True:
        area = r.choice(list(AREAS))
        subject = r.choice(AREAS[area])
        cls = "".join(word.capitalize() for word in subject.split("_")) + r.choice(
            ["TestJSON", "V2Test", "NegativeTest"]
        )
        where = f"tempest.api.{area}.test_{subject}.{cls}"
        for verb in r.sample(VERBS, r.randint(2, 6)):
            yield where, cls, f"test_{verb}_{subject}"


def subunit() -> bytes:
    r = random.Random(269624)
    stream, seen = Stream(), set()
    source = names(r)
    clock = [(TESTS_AT + 2 + r.random(), worker) for worker in range(WORKERS)]
    timeouts = 0
    setup_failed = killed = asserted = False
    while clock:
        begin, worker = heapq.heappop(clock)
        where, cls, method = next(source)
        if begin > RUN - 60 or (where, method) in seen:
            if begin <= RUN - 60:
                heapq.heappush(clock, (begin, worker))
            continue
        seen.add((where, method))
        common: dict[str, Any] = {"test_tags": {f"worker-{worker}"}, "route_code": str(worker)}
        common["test_id"] = f"{where}.{method}[id-{uuid(r)}{r.choice(['', ',smoke', ',network'])}]"
        duration = min(45.0, r.lognormvariate(0.9, 1.1)) * (3.5 if stalled(begin) else 1)
        status, last = "success", ""
        if stalled(begin) and timeouts < 3:
            timeouts, status, duration = timeouts + 1, "fail", 196 / 4 + r.random()
            last = (
                "tempest.lib.exceptions.TimeoutException: Request timed out\n"
                f"Details: ({cls}:{method}) Server {uuid(r)} failed to reach ACTIVE status and task state "
                f'"None" within the required time (49 s). Current status: BUILD.'
            )
        elif begin > STALL[1] and not setup_failed and "volume" in where:
            setup_failed, status, duration = True, "fail", 2.4
            common["test_id"] = f"setUpClass ({where})"
            last = (
                "tempest.lib.exceptions.ServerFault: Got server fault\nDetails: The server has either erred."
            )
        elif begin > TESTS_AT + 120 and not asserted and "network" in where:
            asserted, status = True, "fail"
            last = "testtools.matchers._impl.MismatchError: 'ACTIVE' != u'DOWN'"
        elif begin > RUN - 130 and not killed:
            killed = True
            stream.add(begin, test_status="inprogress", **common)
            continue  # the worker was killed: its test never ends, its lane stays empty
        elif r.random() < 0.07:
            status, duration = "skip", 0.002
        stream.add(begin, test_status="inprogress", **common)
        end = begin + duration
        if status == "skip":
            stream.attach(end, "reason", r.choice(SKIPS).encode(), TEXT, **common)
        else:
            log = logging_text(r, begin, duration, cls, method)
            stream.attach(end, "pythonlogging:''", log, TEXT, **common)
        if status == "fail":
            stream.attach(end, "traceback", traceback(r, cls, method, last), TRACEBACK, **common)
        stream.add(end, test_status=status, **common)
        heapq.heappush(clock, (end + 0.05 + r.random() * (2.5 if r.random() < 0.1 else 0.2), worker))
    return stream.write()


def dstat() -> bytes:
    r = random.Random(7)
    rows = [
        '"Dstat 0.7.3 CSV output"',
        '"Author:","Dag Wieers <dag@wieers.com>",,,,"URL:","http://dag.wieers.com/home-made/dstat/"',
        '"Host:","devstack-trusty-rax-dfw-1234567",,,,"User:","root"',
        (
            '"Cmdline:","dstat -tcmndrylpg --output /opt/stack/new/screen-logs/dstat-csv.log",,,,'
            '"Date:","01 Jun 2016 12:01:30 UTC"'
        ),
        (
            '"system","total cpu usage",,,,,"memory usage",,,,"net/total",,"dsk/total",,'
            '"io/total",,"system",,"load avg",,,"procs",,,"paging",'
        ),
        (
            '"time","usr","sys","idl","wai","stl","used","free","buff","cach","recv","send","read","writ","read","writ",'
            '"int","csw","1m","5m","15m","run","blk","new","in","out"'
        ),
    ]
    load, used, total = 0.4, 7.0e8, 8.2e9
    for second in range(90, int(RUN)):
        testing = TESTS_AT < second < RUN - 55
        usr = (45 if testing else 26) + 18 * math.sin(second / 23) + r.gauss(0, 8)
        wai, stl = r.expovariate(1 / 2.5), r.random()
        if stalled(second):
            usr, wai = 6 + r.random() * 4, 62 + r.random() * 20
        usr = min(88.0, max(1.0, usr))
        sys = min(11.0, usr / 4 + r.random())
        wai = min(wai, 99 - usr - sys - stl)
        used = min(5.9e9, used + (4.0e6 if second < TESTS_AT else 1.1e6) + r.gauss(0, 4e6))
        load += ((usr + sys + wai) / 100 * 9 - load) / 60
        mem, buff, cach = int(used) & ~4095, 118 << 20, int(1.6e9) + second * 131072
        write = r.expovariate(1 / 9e6) if not stalled(second) else r.expovariate(1 / 2e5)
        values = [usr, sys, 100 - usr - sys - wai - stl, wai, stl]
        values += [mem, int(total - mem - buff - cach), buff, cach]
        values += [int(r.expovariate(1 / (4e6 if second < 400 else 2.5e5))), int(r.expovariate(1 / 2e5))]
        values += [int(r.expovariate(1 / 8e5)), int(write), int(r.random() * 60), int(write / 40000)]
        values += [r.randint(900, 7000), r.randint(2000, 24000), load, load * 0.9, load * 0.7]
        values += [r.randint(0, 6), 9 if stalled(second) else 0, r.randint(0, 70), 0, 0]
        cells = [f"{v:.3f}".rstrip("0").rstrip(".") if isinstance(v, float) else str(v) for v in values]
        rows.append(at(second).strftime("%d-%m %H:%M:%S") + "," + ",".join(cells))
    return ("\n".join(rows) + "\n").encode()


def console() -> bytes:
    r = random.Random(11)
    lines: list[tuple[float, str]] = []

    def phase(begin: float, end: float, count: int, texts: list[str]) -> None:
        for n in range(count):
            text = texts[n % len(texts)].replace("%u", uuid(r)).replace("%n", str(r.randint(1, 999)))
            lines.append((begin + (end - begin) * n / count, text))

    lines.append(
        (0.2, "Started by user <a href='https://jenkins02/user/null' class='model-link'>anonymous</a>")
    )
    lines.append(
        (0.4, f"Building remotely on devstack-trusty-rax-dfw-1234567 in workspace /home/jenkins/{NAME}")
    )
    script = f"[{NAME}] $ /bin/bash -xe /tmp/hudson%d.sh"
    lines.append((2.0, script % 100))
    phase(2.1, 9, 14, ["Network configuration information...", "Could not resolve mirror %n, trying next"])
    lines.append((10.0, script % 200))
    lines.append((10.1, f"JJB template: {NAME}"))
    lines.append((12.0, script % 300))
    phase(12.1, 88, 220, ["+ git fetch https://git.openstack.org/openstack/project-%n refs/zuul/master/%u"])
    lines.append((89.0, script % 400))
    phase(
        89.1,
        TESTS_AT,
        1500,
        [
            "2016-06-01 12:00:00 + functions-common:git_clone:%n :   [[ 0 -ge 0 ]]",
            "Collecting oslo.messaging==%n (from -r /opt/stack/new/nova/requirements.txt (line %n))",
            "Get:%n http://mirror.dfw.rax.openstack.org/ubuntu trusty/main amd64 lib%n [%n kB]",
            "+ lib/nova:create_nova_conf:%n :   iniset /etc/nova/nova.conf DEFAULT debug True",
        ],
    )
    phase(
        TESTS_AT,
        RUN - 40,
        900,
        [
            "{0} tempest.api.compute.servers.test_%n.ServerTagsV2Test.test_show [2.%ns] ... ok",
            "{1} tempest.api.network.test_%n.PortsTestJSON.test_create [1.%ns] ... ok",
            "{3} tempest.api.identity.v3.test_%n.UsersV2Test.test_list [0.%ns] ... ok",
        ],
    )
    lines.append((STALL[0] + 60, "{2} tempest.api.compute.servers.ServerActionsTestJSON [49.2s] ... FAILED"))
    lines.append((RUN - 41, "ERROR: the main setup script run by this job failed - exit code: 1"))
    lines.append((RUN - 30, script % 500))
    phase(RUN - 30, RUN - 12, 120, ["+ sudo cp /var/log/libvirt/qemu/instance-%n.log /opt/stack/logs/"])
    lines.append((RUN - 10, "[SCP] Connecting to static.openstack.org"))
    lines.append((RUN - 9, "[SCP] Copying console log."))
    lines.append((RUN - 8, "Finished: FAILURE"))
    lines.sort(key=lambda entry: entry[0])
    body = "".join(f"{at(s).strftime('%Y-%m-%d %H:%M:%S.%f')[:-3]} | {text}\n" for s, text in lines)
    return f"<pre>\n{body}</pre>\n".encode()


def main() -> None:
    root = OUT / NAME
    (root / "logs").mkdir(parents=True, exist_ok=True)
    for path, content in [
        ("console.html.gz", console()),
        ("logs/testrepository.subunit.gz", subunit()),
        ("logs/dstat-csv.txt.gz", dstat()),
    ]:
        packed = gzip.compress(content, 9, mtime=0)
        (root / path).write_bytes(packed)
        print(f"{path}: {len(content)} bytes, {len(packed)} packed")
    jobs = [
        {
            "url": f"sample:{NAME}/",
            "name": NAME,
            "status": "FAILURE",
            "pipeline": "check",
            "ci_username": "jenkins",
            "change_project": "openstack/nova",
            "change_subject": "The sample job that ships with stackviz-deployer",
            "voting": True,
            "duration": "19m 40s",
            "finished_ms": int(at(RUN).timestamp() * 1000),
        }
    ]
    (OUT / "jobs.json").write_text(json.dumps(jobs, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
