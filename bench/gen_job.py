#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make the log directory of a CI job (tempest on devstack, June 2016) out of nothing but its arguments.

usage: gen_job.py OUTDIR [--tests 1500] [--seed 1] [--workers 4]
                  [--dstat-rows 5400] [--dstat-version 0.7.3|0.7.2] [--dstat-top]
                  [--console-mb 8] [--att-min 2048] [--att-max 40960] [--no-gz]

It is the input of the benchmarks and of tests that need a job of a given size.  OUTDIR then holds
  testrepository.subunit(.gz)  subunit v2 stream, written by python-subunit: tests of all workers
                               interleaved by time, tags, skip reasons, tracebacks, log attachments
  dstat-csv.txt(.gz)           one row a second, headers as those versions of dstat write them:
                               0.7.3 "dstat -tcmndrylpg --tcp", with --dstat-top also the
                               most-expensive-process and swap columns; 0.7.2 "dstat -tcmndrylpg"
  console.html(.gz)            Jenkins console: a bare <pre> fragment, "<" and "&" escaped, links
  job-output.txt(.gz)          the console of a Zuul v3 job
  expected.json                how many tests of each status, and the files' sizes
Same arguments, same bytes.  Texts, sizes and durations are invented; only the formats are real.
"""

import argparse
import datetime as dt
import gzip
import heapq
import json
import math
import random
import re
import shutil
from pathlib import Path

from subunit.v2 import StreamResultToBytes

T0 = dt.datetime(2016, 6, 1, 12, 0, 0, tzinfo=dt.UTC)
TEXT = 'text/plain;charset="utf8"'
TB = 'text/x-traceback;charset="utf8";language="python"'

AREAS = [
    ("compute", ["servers", "images", "volumes", "flavors", "security_groups", "keypairs", "admin"]),
    ("network", ["test_routers", "test_networks", "test_ports", "admin"]),
    ("identity", ["v2", "v3", "admin"]),
    ("volume", ["admin", "test_volumes_get", "test_volumes_snapshots"]),
    ("image", ["v1", "v2"]),
    ("object_storage", ["test_object_services", "test_container_services"]),
    ("orchestration", ["stacks"]),
    ("telemetry", ["test_alarming"]),
]
VERBS = ["create", "list", "show", "update", "delete", "rebuild", "resize", "attach", "detach", "reboot"]
NOUNS = [
    *("server", "image", "volume", "router", "port", "subnet", "keypair", "snapshot"),
    *("stack", "user", "role", "token", "flavor", "quota", "metadata", "address"),
]


def uuid(r):
    h = f"{r.getrandbits(128):032x}"
    return "-".join((h[:8], h[8:12], h[12:16], h[16:20], h[20:]))


def names(r, n):
    seen, out = set(), []
    while len(out) < n:
        a, subs = r.choice(AREAS)
        sub = r.choice(subs)
        cls = "".join(w.capitalize() for w in r.sample(NOUNS, 2)) + r.choice(
            ["TestJSON", "V2Test", "AdminTestJSON", "NegativeTest"]
        )
        mod = f"test_{r.choice(NOUNS)}_{r.choice(VERBS)}"
        for _ in range(r.randint(2, 9)):
            m = "test_{}_{}_{}".format(
                r.choice(VERBS),
                r.choice(NOUNS),
                r.choice(["", "with_", "invalid_", "by_"]) + r.choice(NOUNS),
            )
            base = f"tempest.api.{a}.{sub}.{mod}.{cls}.{m}"
            if base in seen:
                continue
            seen.add(base)
            tags = ["id-" + uuid(r), *r.choice([[], [], ["smoke"], ["negative"], ["gate", "smoke"]])]
            out.append((base, "{}[{}]".format(base, ",".join(tags)), cls))
            if len(out) >= n:
                break
    return out


def logtext(r, when, cls, meth, size):
    buf, n, t = [], 0, when
    while n < size:
        t += dt.timedelta(milliseconds=r.randint(20, 900))
        ts = f"{t:%Y-%m-%d %H:%M:%S},{t.microsecond // 1000:03d}"
        u, req = uuid(r), "req-" + uuid(r)
        code = r.choice((200, 200, 200, 201, 202, 204, 404, 409))
        verb = r.choice(("GET", "GET", "POST", "PUT", "DELETE"))
        res = r.choice(NOUNS)
        # the calls of r stay in the order of the text: it is part of what makes the bytes
        client = "[tempest.lib.common.rest_client]"
        s = (
            f"{ts} {10000 + r.randint(0, 9)} INFO     {client} Request ({cls}:{meth}): {code} {verb}"
            f" http://127.0.0.1:8774/v2.1/{u[:8]}/{res}s/{u} {r.random():.3f}s\n"
            f"{ts} {10000 + r.randint(0, 9)} DEBUG    {client} Request - Headers: {{'Content-Type':"
            " 'application/json', 'Accept': 'application/json', 'X-Auth-Token': '<omitted>'}\n"
            "        Body: None\n"
            f"    Response - Headers: {{'status': '{code}', 'content-length': '{r.randint(100, 3000)}',"
            f" 'content-location': 'http://127.0.0.1:8774/v2.1/{u[:8]}/{res}s/{u}',"
            f" 'x-compute-request-id': '{req}', 'vary': 'X-OpenStack-Nova-API-Version',"
            " 'openstack-api-version': 'compute 2.1', 'connection': 'close',"
            " 'x-openstack-nova-api-version': '2.1',"
            f" 'date': '{t:%a, %d %b %Y %H:%M:%S} GMT', 'content-type': 'application/json'}}\n"
            f'        Body: {{"{res}": {{"status": "{r.choice(("BUILD", "ACTIVE", "SHUTOFF"))}",'
            f' "updated": "{t:%Y-%m-%dT%H:%M:%S}Z", "hostId": "{r.getrandbits(224):056x}", "id": "{u}",'
            f' "name": "tempest-{cls}-{r.getrandbits(31)}", "tenant_id": "{u.replace("-", "")}",'
            ' "metadata": {}}}\n'
        )
        if r.random() < 0.02:
            s += ts + " WARN     [tempest] non-ascii n\u00e4me \u2014 \u65e5\u672c\u8a9e\n"
        buf.append(s)
        n += len(s)
    return "".join(buf)[:size].encode("utf-8")


def tbtext(r, cls, meth):
    lines = ["Traceback (most recent call last):\n"]
    lines += [
        f'  File "/opt/stack/tempest/tempest/{r.choice(NOUNS)}.py", line {r.randint(10, 900)},'
        f" in {meth}\n    self.client.{r.choice(VERBS)}_{r.choice(NOUNS)}({uuid(r)!r})\n"
        for _ in range(r.randint(4, 14))
    ]
    lines.append("tempest.lib.exceptions.TimeoutException: Request timed out\n")
    lines.append(
        f"Details: ({cls}:{meth}) Server {uuid(r)} failed to reach ACTIVE status within the required time"
        " (196 s). Current status: BUILD.\n"
    )
    return "".join(lines).encode()


class Unflushed:
    """StreamResultToBytes flushes after each packet; the file below is buffered for a reason."""

    def __init__(self, file):
        self.write = file.write

    def flush(self):
        pass


class Events:
    """Packets of different workers, to be written in the order of their times."""

    def __init__(self):
        self.pending = []
        self.count = 0

    def add(self, seconds, common, **event):
        self.count += 1
        event |= common
        event["timestamp"] = T0 + dt.timedelta(microseconds=int(seconds * 1e6))
        heapq.heappush(self.pending, (seconds, self.count, event))

    def write(self, out, limit):
        while self.pending and self.pending[0][0] <= limit:
            out.status(**heapq.heappop(self.pending)[2])


def add_test(r, a, events, test, *, start, worker):
    """One test's events; returns its status and duration."""
    base, tid, cls = test
    meth = base.rsplit(".", 1)[1]
    p = r.random()
    dur = r.lognormvariate(0, 1.2)
    if p < 0.002:
        tid = f"setUpClass ({base.rsplit('.', 1)[0]}.{events.count})"
        status = "fail"
    elif p < 0.008:
        status = "fail"
    elif p < 0.07:
        status = "skip"
        dur = r.random() * 0.01
    else:
        status = "success"
    common = {"test_id": tid, "test_tags": {f"worker-{worker}"}, "route_code": str(worker)}
    end = start + dur
    events.add(start, common, test_status="inprogress")

    def attach(name, data, mime_type=TEXT):
        events.add(end, common, file_name=name, file_bytes=data, eof=True, mime_type=mime_type)

    if status == "skip":
        attach("reason", b"Skipped until Bug: 1%06d is resolved." % r.randint(0, 999999))
    else:
        size = int(math.exp(r.uniform(math.log(a.att_min), math.log(a.att_max))))
        attach("pythonlogging:''", logtext(r, T0 + dt.timedelta(seconds=start), cls, meth, size))
        attach("stderr", b"")
        attach("stdout", b"")
        if status == "fail":
            attach("traceback", tbtext(r, cls, meth), TB)
    events.add(end, common, test_status=status)
    return status, dur


def gen_subunit(path, a):
    r = random.Random(a.seed * 1000003 + a.tests)
    tests = names(r, a.tests)
    counts = {"success": 0, "fail": 0, "skip": 0}
    clock = [(r.random(), w) for w in range(a.workers)]
    heapq.heapify(clock)
    events = Events()
    with path.open("wb", buffering=1 << 20) as f:
        out = StreamResultToBytes(f)
        out.output_stream = Unflushed(f)
        for test in tests:
            start, worker = heapq.heappop(clock)
            status, dur = add_test(r, a, events, test, start=start, worker=worker)
            counts[status] += 1
            heapq.heappush(clock, (start + dur + 0.003, worker))
            events.write(out, clock[0][0])
        events.write(out, math.inf)
    return counts


# what the recordings of the two versions have in common, and what they do not
DSTAT_TAIL = [
    ("net/total", ["recv", "send"]),
    ("dsk/total", ["read", "writ"]),
    ("io/total", ["read", "writ"]),
    ("system", ["int", "csw"]),
    ("load avg", ["1m", "5m", "15m"]),
    ("procs", ["run", "blk", "new"]),
    ("paging", ["in", "out"]),
]
DSTAT_TOP = [
    ("most expensive cpu process", ["process              pid  cpu read write"]),
    ("most expensive i/o process", ["process              pid  read write cpu"]),
    ("most expensive", ["memory process"]),
    ("swap", ["used", "free"]),
]
DSTAT_TCP = [("tcp sockets", ["lis", "act", "syn", "tim", "clo"])]


def dstat_layout(version, top):
    """(options of the command, column groups, blank line before the groups?)"""
    if version == "0.7.2":
        return (
            "-tcmndrylpg",
            [
                ("system", ["time"]),
                ("total cpu usage", ["usr", "sys", "idl", "wai", "hiq", "siq"]),
                ("memory usage", ["used", "buff", "cach", "free"]),
                *DSTAT_TAIL,
            ],
            True,
        )
    head = [
        ("system", ["time"]),
        ("total cpu usage", ["usr", "sys", "idl", "wai", "stl"]),
        ("memory usage", ["used", "free", "buff", "cach"]),
    ]
    if top:
        return (
            "-tcmndrylpg --top-cpu-adv --top-io-adv --top-mem --swap --tcp",
            head + DSTAT_TAIL + DSTAT_TOP + DSTAT_TCP,
            False,
        )
    return "-tcmndrylpg --tcp", head + DSTAT_TAIL + DSTAT_TCP, False


def gen_dstat(path, a):
    r = random.Random(a.seed + 7)
    old = a.dstat_version == "0.7.2"
    options, groups, blank = dstat_layout(a.dstat_version, a.dstat_top)

    def num(x):  # 0.7.2 writes 11.0, 0.7.3 writes 11; a fraction has three digits in both
        x = round(x, 3)
        return ("%.1f" if old else "%d") % x if x == int(x) else f"{x:.3f}"

    with path.open("w", encoding="utf-8") as f:
        f.write(
            f'"Dstat {a.dstat_version} CSV output"\n"Author:","Dag Wieers <dag@wieers.com>",,,,'
            '"URL:","http://dag.wieers.com/home-made/dstat/"\n'
            '"Host:","devstack-trusty-rax-dfw-1234567",,,,"User:","root"\n'
            f'"Cmdline:","dstat {options} --output /opt/stack/new/screen-logs/dstat-csv.log",,,,'
            '"Date:","01 Jun 2016 12:00:00 UTC"\n'
        )
        if blank:
            f.write("\n")
        f.write(",".join(f'"{n}"' + "," * (len(c) - 1) for n, c in groups) + "\n")
        f.write(",".join(f'"{x}"' for n, c in groups for x in c) + "\n")
        procs = [
            "nova-compute",
            "mysqld",
            "beam.smp",
            "qemu-system-x86_64",
            "python",
            "neutron-server",
            "cinder-volume",
        ]
        used, total = 2.1e9, 8.2e9
        buff, cach = 1.1e8, 2.0e9
        for i in range(a.dstat_rows):
            t = T0 + dt.timedelta(seconds=i)
            used = min(5.5e9, max(1.5e9, used + r.gauss(1e5, 3e6)))
            mem = int(used) & ~4095
            bu, ca = int(buff + i * 4096) & ~4095, int(min(cach + i * 8192, total - used - buff)) & ~4095
            fr = int(total - mem - bu - ca) & ~4095
            u = round(r.betavariate(2, 2) * 80, 3)
            s = round(r.random() * 15, 3)
            w = round(r.random() * 5, 3)
            x = round(r.random() * 0.2, 3)  # the last column: soft interrupts, or stolen
            v = [u, s, 100 - u - s - w - x, w] + ([0, x] if old else [x])
            v += [mem, bu, ca, fr] if old else [mem, fr, bu, ca]
            v += [r.expovariate(1e-5) for _ in range(4)] + [r.expovariate(0.05) for _ in range(2)]
            v += [r.randint(800, 9000), r.randint(2000, 40000)]
            v += [r.random() * 9 for _ in range(3)] + [r.randint(0, 9), 0, r.random() * 60, 0, 0]
            cells = [t.strftime("%d-%m %H:%M:%S")] + [num(x) for x in v]
            if a.dstat_top:
                rd, wr = float(r.randint(0, 1 << 20)), float(r.randint(0, 1 << 20))
                cpu = r.randint(2, 198) / 2
                cells += [
                    f"Top: {r.choice(procs)}\t{cpu}\t{rd}\t{wr}",
                    f"Top: {r.choice(procs)}\t{rd}\t{wr}\t{cpu}",
                    f"{r.choice(procs)} / {r.randint(1 << 16, 1 << 18) * 4096}%",
                ]
                cells += [num(r.randint(0, 10) * 4096), num(8.5e9)]
            if not old:
                cells += [num(r.randint(0, 200)) for _ in range(5)]
            f.write(",".join(cells) + "\n")


def con_lines(r, nbytes):
    n, t = 0, T0
    while n < nbytes:
        t += dt.timedelta(microseconds=r.randint(10, 90000))
        k = r.random()
        if k < 0.3:
            s = (
                f"++ functions-common:{r.choice(NOUNS)}:{r.randint(1, 2000)} :"
                f"   echo 'Stop <{uuid(r)}> && [[ {r.choice(NOUNS)} -ge 0 ]]'"
            )
        elif k < 0.6:
            s = (
                f"Get:{r.randint(1, 500)} http://mirror.dfw.rax.openstack.org/ubuntu trusty/main amd64"
                f" lib{r.choice(NOUNS)}-{r.choice(VERBS)} amd64 {r.randint(0, 9)}.{r.randint(0, 99)}"
                f" [{r.randint(1, 4000)} kB]"
            )
        elif k < 0.8:
            s = (
                f"{{{r.randint(0, 3)}}} tempest.api.compute.{uuid(r)}.{r.choice(VERBS)}"
                f" [{r.random() * 30:.6f}s] ... ok"
            )
        else:
            s = (
                f"Collecting {r.choice(NOUNS)}=={r.randint(0, 9)}.{r.randint(0, 99)}"
                f' (from -r "/opt/stack/new/{r.choice(NOUNS)}/requirements.txt" (line {r.randint(1, 90)}))'
            )
        n += len(s) + 30
        yield t, s


URL = re.compile(r'(?<![\w|])https?://[^\s<>"\']+')


def markup(text):
    """As Jenkins writes it: "<" and "&" escaped, ">" and quotes as they are, a URL made a link."""
    return URL.sub(r"<a href='\g<0>'>\g<0></a>", text.replace("&", "&amp;").replace("<", "&lt;"))


def gen_console(path, a):
    r = random.Random(a.seed + 11)
    total = int(a.console_mb * 1e6)
    job, host, jenkins = (
        "gate-tempest-dsvm-full",
        "devstack-trusty-rax-dfw-1234567",
        "https://jenkins02.openstack.org",
    )
    logs = f"/srv/static/logs/24/269624/19/gate/{job}/84f9b4a"
    marks = {
        0: f"Started by user <a href='{jenkins}/user/null' class='model-link'>anonymous</a>",
        1: f"Building remotely on <a href='{jenkins}/computer/{host}' class='model-link'>{host}</a>"
        f" in workspace /home/jenkins/workspace/{job}",
        5: f"[{job}] $ /bin/bash -xe /tmp/hudson4857237.sh",
        60: f"[{job}] $ /bin/bash -xe /tmp/hudson48.sh",
    }
    with path.open("w", encoding="utf-8") as f:
        size = f.write("<pre>\n")
        t = T0
        for i, (t, s) in enumerate(con_lines(r, math.inf)):
            text = marks.get(i) or markup(s)
            size += f.write(f"{t:%Y-%m-%d %H:%M:%S}.{t.microsecond // 1000:03d} | {text}\n")
            if size >= total and i > max(marks):
                break
        # the publisher's lines have six fractional digits in real consoles
        for s in (
            "[SCP] Connecting to static.openstack.org",
            f"[SCP] Trying to create {logs}",
            f"[SCP] uploading file: '{logs}/logs/dstat-csv.txt.gz'",
            f"[SCP] uploading file: '{logs}/logs/testrepository.subunit.gz'",
            "[SCP] Copying console log.",
            "Finished: SUCCESS",
        ):
            t += dt.timedelta(milliseconds=r.randint(5, 900))
            f.write(f"{t:%Y-%m-%d %H:%M:%S}.{t.microsecond // 1000:03d}999 | {s}\n")
        f.write("</pre>\n")


def gen_joboutput(path, a):
    r = random.Random(a.seed + 13)
    total = int(a.console_mb * 1e6)
    with path.open("w", encoding="utf-8") as f:
        for i, (t, s) in enumerate(con_lines(r, total)):
            ts = t.strftime("%Y-%m-%d %H:%M:%S.%f")
            if i % 400 == 0:
                f.write(f"{ts} | \n{ts} | PLAY [all]\n")
            if i % 40 == 0:
                f.write(f"{ts} | \n{ts} | TASK [run-devstack : {r.choice(VERBS)}]\n")
            f.write(f"{ts} | controller | {s}\n")
        f.write(
            f"{ts} | PLAY RECAP\n"
            f"{ts} | controller | ok: 412 changed: 210 unreachable: 0 failed: 0\n"
            f"{ts} | RUN END RESULT_NORMAL: [untrusted : git.openstack.org/openstack/tempest/playbooks/"
            "devstack-tempest.yaml@master]\n"
        )


def gz(path):
    with (
        path.open("rb") as plain,
        Path(f"{path}.gz").open("wb") as file,
        gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0, compresslevel=6) as out,
    ):
        shutil.copyfileobj(plain, out, 1 << 20)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("out", type=Path)
    p.add_argument("--tests", type=int, default=1500)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--workers", type=int, default=4)
    p.add_argument("--dstat-rows", type=int, default=5400)
    p.add_argument("--dstat-version", choices=("0.7.2", "0.7.3"), default="0.7.3")
    p.add_argument(
        "--dstat-top", action="store_true", help="with the most expensive processes and swap (0.7.3 only)"
    )
    p.add_argument("--console-mb", type=float, default=8)
    p.add_argument("--att-min", type=int, default=2048)
    p.add_argument("--att-max", type=int, default=40960)
    p.add_argument("--no-gz", action="store_true")
    a = p.parse_args()
    if a.dstat_top and a.dstat_version != "0.7.3":
        p.error("--dstat-top needs --dstat-version 0.7.3")
    a.out.mkdir(parents=True, exist_ok=True)
    counts = gen_subunit(a.out / "testrepository.subunit", a)
    gen_dstat(a.out / "dstat-csv.txt", a)
    gen_console(a.out / "console.html", a)
    gen_joboutput(a.out / "job-output.txt", a)
    if not a.no_gz:
        for name in ("testrepository.subunit", "dstat-csv.txt", "console.html", "job-output.txt"):
            gz(a.out / name)
    sizes = {f.name: f.stat().st_size for f in sorted(a.out.iterdir()) if f.name != "expected.json"}
    expected = json.dumps({"tests": a.tests, "counts": counts, "sizes": sizes}, indent=1)
    (a.out / "expected.json").write_text(expected, encoding="utf-8")
    print(expected)


if __name__ == "__main__":
    main()
