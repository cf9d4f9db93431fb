# SPDX-License-Identifier: Apache-2.0
"""What the console and the results of a Zuul job cost: 100 MB of each, by default.

    python bench/job_output.py [--mb 100] [--rounds 3] [--keep DIR]

Each is read by a fresh process, round about with its rival; printed are wall clock and CPU less
imports (median), the whole peak memory (VmHWM), and the stored size.

job-output.txt   ours: parsers.console.  The rival is the way of the original: each line through a
                 regular expression for its date and one for the beginning of a section, all lines in
                 memory, json.dump, gzip 9.  It knows nothing of levels.
every line bad   the same text with an ERROR of oslo's form on each line: the worst case for the levels
job-output.json  ours: parsers.job_output.  The rival is json.load.
console.html     20 MB of gen_job.py's Jenkins console, ours alone: what the levels may cost it
Ours must give the same lines as the rival; that is checked in every round.
"""

import argparse
import datetime as dt
import gzip
import hashlib
import itertools
import json
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
DATE = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?) \| (.*)$")
SECTION = re.compile(r"^(?:TASK|LOOP|PLAY) \[(.*)\]$")
PLAYBOOK = "opendev.org/openstack/tempest/playbooks"


# ---- the input


def said(r):
    """What a machine prints, in the mixture of a devstack job: a line in a hundred is a warning or worse."""
    n = r.randrange(1_000_000)
    stamp = f"2026-11-22 10:{n % 60:02}:{n % 59:02}.{n % 1000:03} {n % 32768}"
    kind = r.random()
    if kind < 0.35:
        return [f"++ functions-common:git_clone:{n % 999} :   echo 'Cloning {n:x} && [[ {n} -ge 0 ]]'"]
    if kind < 0.6:
        test = f"tempest.api.compute.servers.test_{n:x}.ServersTest.test_{n % 97}"
        return [f"{{{n % 4}}} {test} [{n % 999}.{n % 97}s] ... ok"]
    if kind < 0.8:
        return [f"Collecting oslo.{n:x}=={n % 9}.{n % 31} (from -r /opt/stack/requirements.txt (line 8))"]
    if kind < 0.985:
        return [f"{stamp} INFO nova.compute.manager [None req-{n:08x} admin admin] state is ERROR now"]
    if kind < 0.993:
        return [f"{stamp} WARNING oslo_policy.policy [-] Policy {n:x} failed scope check"]
    if kind < 0.997:
        return [f"{stamp} ERROR nova.compute.manager [None req-{n:08x}] boom", "  and more"]
    frames = [f'  File "/opt/stack/nova/{number}.py", line {number}, in f' for number in range(8)]
    return ["Traceback (most recent call last):", *frames, f"nova.exception.InstanceNotFound: {n:x}"]


def stamps():
    for n in itertools.count():
        seconds, part = divmod(n * 1_373, 1_000_000)
        time_of_day = f"{9 + seconds // 3600 % 15:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        yield f"2026-11-22 {time_of_day}.{part:06} | "


def make_text(path, total, only=None):
    r = random.Random(7)
    stamp = stamps()
    size = tasks = 0
    with path.open("w", encoding="utf-8") as file:

        def write(line):
            nonlocal size
            size += file.write(f"{next(stamp)}{line}\n")

        write("Job console starting")
        for phase, share in (("PRE-RUN", 0.1), ("RUN", 0.95), ("POST-RUN", 1)):
            write(f"{phase} START: [untrusted : {PLAYBOOK}/{phase.lower()}.yaml@master]")
            write("")
            write("PLAY [all]")
            while size < total * share:
                write("")
                write(f"TASK [run-devstack : Do thing number {tasks}]")
                tasks += 1
                # most tasks say one line, a few very much
                for _ in range(1 if tasks % 8 else r.randrange(max(2, total // 60_000))):
                    for line in [only] if only else said(r):
                        write(f"controller | {line}")
                write("controller | ok: Runtime: 0:00:01.234567")
            write("")
            write("PLAY RECAP")
            write(
                "controller | ok: 412 changed: 210 unreachable: 0 failed: 0 skipped: 1 rescued: 0 ignored: 0"
            )
            write(f"{phase} END RESULT_NORMAL: [untrusted : {PLAYBOOK}/{phase.lower()}.yaml@master]")


def make_json(path, total):
    """Two hosts; what a task printed stands in it twice, as in the real ones."""
    r = random.Random(11)
    start = dt.datetime(2026, 11, 22, 9, tzinfo=dt.UTC)
    playbooks = []
    size = number = 0
    for phase, share in (("pre", 0.1), ("run", 0.95), ("post", 1)):
        tasks = []
        while size < total * share:
            number += 1
            lines = [
                line for _ in range(1 if number % 8 else r.randrange(total // 60_000)) for line in said(r)
            ]
            result = {
                "action": "shell",
                "changed": True,
                "cmd": "do --thing",
                "invocation": {"module_args": dict.fromkeys(("argv", "chdir", "creates", "stdin"))},
                "rc": 0,
                "stdout": "\n".join(lines),
                "stdout_lines": lines,
            }
            size += 2 * sum(map(len, lines)) + 30 * len(lines) + 800
            at = (start + dt.timedelta(seconds=number)).isoformat()
            about = {"id": f"{number:032x}", "name": f"thing {number}", "duration": {"start": at, "end": at}}
            tasks.append({"hosts": {"controller": result}, "task": about})
        if phase == "run":
            tasks[-1]["hosts"]["controller"] |= {"failed": True, "rc": 1, "msg": "non-zero return code"}
        counts = {"ok": len(tasks), "failures": int(phase == "run"), "rescued": 0, "ignored": 0}
        playbooks.append(
            {
                "branch": "master",
                "index": "0",
                "phase": phase,
                "playbook": f"{PLAYBOOK}/{phase}.yaml",
                "plays": [{"play": {"id": phase, "name": "all"}, "tasks": tasks}],
                "stats": {"controller": counts},
                "trusted": False,
            }
        )
    with path.open("w", encoding="utf-8") as file:
        json.dump(playbooks, file, indent=4, sort_keys=True)


# ---- the two ways


def digest(dated_lines):
    found = hashlib.sha256()
    for date, line in dated_lines:
        found.update(f"{date} | {line}\n".encode())
    return found.hexdigest()


def run_parser(parser, path, out):
    from stackviz_deployer.model import InputFile, ParseRequest
    from stackviz_deployer.parsers.worker import PARSERS, _load

    file = InputFile(path=str(path), name=path.name)
    request = ParseRequest(parser=parser, inputs=(file,), out_dir=str(out), max_bytes=1 << 30)
    (artifact,) = _load(PARSERS[parser])(request).artifacts
    return artifact


def original_console(path, out):
    scripts = [{"name": "setup", "lines": []}]
    with path.open(encoding="utf-8") as file:
        for line in file:
            dated = DATE.match(line.rstrip("\n"))
            if dated is None:
                continue
            date, text = dated.groups()
            section = SECTION.match(text)
            if section:
                scripts.append({"name": section[1], "lines": []})
            scripts[-1]["lines"].append({"date": date, "line": text})
    with gzip.open(out / "rival.json.gz", "wt", compresslevel=9, encoding="utf-8") as file:
        json.dump({"status": None, "scripts": scripts, "remaining": []}, file)


def original_json(path, out):
    with path.open(encoding="utf-8") as file:
        json.dump(len(json.load(file)), (out / "rival.json.gz").open("w", encoding="utf-8"))


WAYS = {
    "console": lambda path, out: run_parser("console", path, out),
    "job_output": lambda path, out: run_parser("job_output", path, out),
    "original": original_console,
    "json.load": original_json,
}


def child(way, path, out):
    if way in ("console", "job_output"):
        __import__(f"stackviz_deployer.parsers.{way}")
    wall, cpu = time.perf_counter(), time.process_time()
    WAYS[way](path, out)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    # VmHWM, not ru_maxrss: that one begins with what the parent had when it forked
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    peak = int(re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)[1]) * 1024
    print(json.dumps({"wall_s": wall, "cpu_s": cpu, "peak_bytes": peak}))


def lines_of(out):
    (stored,) = (path for path in out.iterdir() if path.name in ("console.json.gz", "rival.json.gz"))
    document = json.loads(gzip.decompress(stored.read_bytes()))
    return digest((one["date"], one["line"]) for script in document["scripts"] for one in script["lines"])


def measure(way, path, *, with_lines):
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch)
        command = [sys.executable, __file__, "--child", way, str(path), scratch]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found = json.loads(done.stdout)
        found["stored"] = sum(file.stat().st_size for file in out.iterdir())
        found["lines"] = lines_of(out) if with_lines else None
    return found


def compare(title, path, ways, rounds, bound):
    runs = {way: [] for way in ways}
    for number in range(rounds):
        for way in ways:
            check = number == 0 and len(ways) > 1 and "json.load" not in ways
            runs[way].append(measure(way, path, with_lines=check))
        if len({found[0]["lines"] for found in runs.values()}) > 1:
            sys.exit("the two ways disagree about the lines")
    print(f"{title}, {path.stat().st_size / 1e6:.0f} MB ({bound})")
    for way, found in runs.items():
        wall, cpu = (statistics.median(run[key] for run in found) for key in ("wall_s", "cpu_s"))
        peak = max(run["peak_bytes"] for run in found) / 2**20
        print(f"  {way:11} {wall:6.2f} s   CPU {cpu:6.2f} s   {peak:7.1f} MB   stored {found[0]['stored']:,}")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mb", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="where generated files are and stay")
    a = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        base = a.keep or Path(scratch)
        text, bad, results = (
            base / f"{name}-{a.mb}" for name in ("job-output.txt", "bad.txt", "job-output.json")
        )
        if not results.exists():
            base.mkdir(exist_ok=True)
            make_text(text, a.mb * 1_000_000)
            make_text(
                bad,
                a.mb * 1_000_000,
                "2026-11-22 10:00:00.123 42 ERROR nova.compute [-] all is lost " + "x" * 20,
            )
            make_json(results, a.mb * 1_000_000)
            command = [sys.executable, str(HERE / "gen_job.py"), str(base / "job"), "--console-mb", "20"]
            small = ["--tests", "1", "--dstat-rows", "1", "--no-gz"]
            subprocess.run(command + small, check=True, capture_output=True)
        compare("job-output.txt", text, ("console", "original"), a.rounds, "must be at most 6 s, 250 MB")
        compare("every line bad", bad, ("console",), a.rounds, "the worst case: at most 6 s of CPU")
        compare("job-output.json", results, ("job_output", "json.load"), a.rounds, "must be at most 250 MB")
        compare(
            "console.html",
            base / "job" / "console.html",
            ("console",),
            a.rounds,
            "must be at most 0.6 s of CPU",
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
    else:
        main()
