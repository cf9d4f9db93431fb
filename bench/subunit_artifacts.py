# SPDX-License-Identifier: Apache-2.0
"""What the subunit artifacts cost: CPU against the original's way, peak memory, stored size.

    python bench/subunit_artifacts.py [--rounds 5] [--large] [--keep DIR]

Prints three tables.
1. CPU seconds (user and system of a fresh process, less what its imports cost) for the
   three artifacts of the gzipped 3,000-test, 39 MB stream; ours and the original's way,
   round about, median and ratio.  The original's way is written below as stackviz-export
   does it: the stream is read twice through python-subunit (once for the raw results and
   their details, once for the summary), each time into StreamToDict *and* StreamSummary,
   then json.dump into gzip level 9.
2. Peak resident memory of such a process above its imports, at 1,500, 3,000 and (with
   --large) 20,000 tests, a stream of 266 MB.
3. Stored bytes of each artifact.
Both must give the same tests; that is checked in every round.
"""

import argparse
import gzip
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
NOT_WORD = re.compile(r"\W")


# ---- the original's way


def original_read(path):
    import subunit
    from testtools import CopyStreamResult, StreamResult, StreamSummary, StreamToDict

    tests = []
    with gzip.open(path) as stream:
        result = CopyStreamResult([StreamResult(), StreamToDict(tests.append), StreamSummary()])
        result.startTestRun()
        subunit.ByteStreamToStreamResult(stream, non_subunit_name="stdout").run(result)
        result.stopTestRun()
    return tests


def original_entry(test):
    start, end = test["timestamps"]
    details = {NOT_WORD.sub("", key): content.as_text() for key, content in test["details"].items()}
    return {
        "name": original_name(test["id"]),
        "status": test["status"],
        "tags": sorted(test["tags"]),
        "timestamps": [start, end],
        "duration": (end - start).total_seconds(),
        "details": {key: text for key, text in details.items() if text},
    }


def original_name(test_id):
    if match := re.match(r"^(.+)\[(.+)\]$", test_id):
        return match[1]
    if match := re.match(r"^(.+) \((.+)\)$", test_id):
        return f"{match[2]}.{match[1]}"
    return test_id


def original_dump(path, value):
    with gzip.open(path, "wt", compresslevel=9, encoding="utf-8") as file:
        json.dump(value, file, default=lambda time: time.isoformat())


def original(path, out):
    entries = [original_entry(test) for test in original_read(path)]
    details = {entry["name"]: entry.pop("details") for entry in entries}
    original_dump(out / "subunit.json.gz", entries)
    original_dump(out / "details.json.gz", details)
    entries = [original_entry(test) for test in original_read(path)]
    stats = {
        "count": len(entries),
        "start": min(entry["timestamps"][0] for entry in entries),
        "end": max(entry["timestamps"][1] for entry in entries),
        "total_duration": sum(entry["duration"] for entry in entries),
        "failures": [
            {
                "name": entry["name"],
                "duration": entry["duration"],
                "details": entry["details"].get("traceback", "").strip().splitlines()[-2:],
            }
            for entry in entries
            if entry["status"] == "fail"
        ],
        "skips": [
            {
                "name": entry["name"],
                "duration": entry["duration"],
                "details": entry["details"].get("reason"),
            }
            for entry in entries
            if entry["status"] == "skip"
        ],
    }
    original_dump(out / "stats.json.gz", stats)


# ---- ours


def ours(path, out):
    from stackviz_deployer.model import InputFile, ParseRequest
    from stackviz_deployer.parsers.subunit import parse

    file = InputFile(path=str(path), name=path.name)
    made = parse(ParseRequest(parser="subunit", inputs=(file,), out_dir=str(out), max_bytes=1 << 30))
    kinds = {"subunit": "subunit", "subunit-stats": "stats", "subunit-details": "details"}
    for artifact in made.artifacts:
        Path(artifact.path).rename(out / f"{kinds[artifact.artifact_type]}.json.gz")


WAYS = {"ours": ours, "original": original}
IMPORTS = {
    "ours": ["stackviz_deployer.parsers.subunit"],
    "original": ["subunit", "testtools"],
}


# ---- one measurement, in a process of its own


def peak_bytes():
    """VmHWM, not ru_maxrss: that one begins with what the parent had when it forked."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)[1]) * 1024


def child(way, path, out):
    for module in IMPORTS[way]:
        __import__(module)
    before = peak_bytes()
    cpu = time.process_time()
    WAYS[way](path, out)
    cpu = time.process_time() - cpu
    print(json.dumps({"cpu_s": cpu, "peak_bytes": peak_bytes() - before}))


def load(path):
    return json.loads(gzip.decompress(path.read_bytes()))


def measure(way, path):
    """CPU, memory and sizes of one run; and what it says of the tests."""
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, __file__, "--child", way, str(path), scratch]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found = json.loads(done.stdout)
        out = Path(scratch)
        found["sizes"] = {f.name: f.stat().st_size for f in sorted(out.glob("*.json.gz"))}
        found["tests"] = sorted(
            (e["name"], e["status"], e["duration"])
            for e in json.loads(gzip.decompress((out / "subunit.json.gz").read_bytes()))
        )
        found["details"] = json.loads(gzip.decompress((out / "details.json.gz").read_bytes()))
    return found


def generate(base, tests):
    out = base / f"tests-{tests}"
    stream = out / "testrepository.subunit.gz"
    if not stream.exists():
        small = ["--dstat-rows", "1", "--console-mb", "0.1"]
        command = [sys.executable, str(HERE / "gen_job.py"), str(out), "--tests", str(tests), *small]
        subprocess.run(command, check=True, capture_output=True)
    return stream


def report_cpu(stream, rounds):
    runs = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way in WAYS:
            runs[way].append(measure(way, stream))
        a, b = runs["ours"][-1], runs["original"][-1]
        if a["tests"] != b["tests"]:
            sys.exit("the two ways disagree about the tests")
        if {k: v for k, v in a["details"].items() if v} != {k: v for k, v in b["details"].items() if v}:
            sys.exit("the two ways disagree about the details")
    cpu = {way: [run["cpu_s"] for run in found] for way, found in runs.items()}
    ratio = statistics.median(b / a for a, b in zip(cpu["ours"], cpu["original"], strict=True))
    print(f"CPU s of the three artifacts, 3,000 tests, 39 MB ({rounds} rounds, interleaved)")
    for way, seconds in cpu.items():
        print(
            f"  {way:9} median {statistics.median(seconds):6.3f}   ({min(seconds):.3f} to {max(seconds):.3f})"
        )
    print(f"  {ratio:.1f} times less (median of the rounds' ratios; must be at least 10)\n")


def report_memory_and_size(streams):
    print("peak memory above imports; stored bytes (ours)")
    for tests, stream in streams.items():
        found = measure("ours", stream)
        sizes = found["sizes"]
        small = sizes["subunit.json.gz"] + sizes["stats.json.gz"]
        print(
            f"  {tests:6,} tests  {found['peak_bytes'] / 2**20:5.1f} MB"
            f"   subunit + stats {small:9,}   details {sizes['details.json.gz']:11,}"
        )
    print("  must be: at most 40 MB at 3,000, 80 MB at 20,000; 60 KB (61,440) of subunit + stats at 1,500")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--large", action="store_true", help="the 20,000-test stream too (300 MB of disk)")
    parser.add_argument("--keep", type=Path, help="where generated streams are and stay")
    a = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        base = a.keep or Path(scratch)
        streams = {n: generate(base, n) for n in (1500, 3000, *([20_000] if a.large else []))}
        report_cpu(streams[3000], a.rounds)
        report_memory_and_size(streams)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
    else:
        main()
