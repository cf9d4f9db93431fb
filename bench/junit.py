# SPDX-License-Identifier: Apache-2.0
"""What a large JUnit report costs: time, CPU and peak memory, beside other readers of it.

    python bench/junit.py [--tests 500000] [--rounds 3] [--keep DIR]

Each round reads the same report in fresh processes, one after the other:
- ours: the three artifacts of the run, written and compressed;
- junitparser (``pip install junitparser``; left out without it) and xml.etree.ElementTree:
  the report in memory, its results counted, nothing made of it.
All must count the same.  CPU is user and system time less what imports cost; memory is
VmHWM of the whole process.  Must be: at most 12 s and 600 MB for 500,000 tests.
"""

import argparse
import importlib.util
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent


def ours(path, out):
    from stackviz_deployer.model import InputFile, ParseRequest
    from stackviz_deployer.parsers.junit import parse

    file = InputFile(path=str(path), name=path.name)
    made = parse(ParseRequest(parser="junit", inputs=(file,), out_dir=str(out), max_bytes=1 << 30))
    return {key: made.artifacts[0].meta[key] for key in ("success", "fail", "skip")}


def etree(path, _out):
    from xml.etree import ElementTree as ET

    counts = dict.fromkeys(("success", "fail", "skip"), 0)
    for case in ET.parse(path).getroot().iter("testcase"):
        tags = {child.tag for child in case}
        counts["fail" if tags & {"failure", "error"} else "skip" if "skipped" in tags else "success"] += 1
    return counts


def junitparser(path, _out):
    from junitparser import Error, Failure, JUnitXml, Skipped

    counts = dict.fromkeys(("success", "fail", "skip"), 0)
    for suite in JUnitXml.fromfile(str(path)):
        for case in suite:
            kinds = {type(result) for result in case.result}
            counts["fail" if kinds & {Failure, Error} else "skip" if Skipped in kinds else "success"] += 1
    return counts


WAYS = {"ours": ours, "junitparser": junitparser, "etree": etree}
IMPORTS = {
    "ours": "stackviz_deployer.parsers.junit",
    "junitparser": "junitparser",
    "etree": "xml.etree.ElementTree",
}


def peak_bytes():
    """VmHWM, not ru_maxrss: that one begins with what the parent had when it forked."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)[1]) * 1024


def child(way, path, out):
    __import__(IMPORTS[way])
    begun, cpu = time.monotonic(), time.process_time()
    counts = WAYS[way](path, out)
    cpu = time.process_time() - cpu
    took = time.monotonic() - begun
    print(json.dumps({"s": took, "cpu_s": cpu, "peak_bytes": peak_bytes(), "counts": counts}))


def measure(way, path):
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, __file__, "--child", way, str(path), out]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tests", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="where the generated report is and stays")
    a = parser.parse_args()
    ways = [way for way in WAYS if way != "junitparser" or importlib.util.find_spec("junitparser")]
    with tempfile.TemporaryDirectory() as scratch:
        path = (a.keep or Path(scratch)) / f"junit-{a.tests}.xml"
        if not path.exists():
            generate = [sys.executable, str(HERE / "gen_junit.py"), str(path), "--tests", str(a.tests)]
            subprocess.run(generate, check=True)
        print(f"{a.tests:,} tests, {path.stat().st_size / 1e6:.0f} MB, {a.rounds} rounds, interleaved")
        rounds = [{way: measure(way, path) for way in ways} for _ in range(a.rounds)]
    for found in rounds:
        if any(found[way]["counts"] != found["ours"]["counts"] for way in ways):
            sys.exit(f"they disagree about the tests: {found}")
    for way in ways:
        runs = [found[way] for found in rounds]
        cpu = [run["cpu_s"] for run in runs]
        print(
            f"  {way:12} CPU median {statistics.median(cpu):6.2f} s ({min(cpu):.2f} to {max(cpu):.2f})"
            f"   elapsed median {statistics.median(run['s'] for run in runs):6.2f} s"
            f"   peak {max(run['peak_bytes'] for run in runs) / 1e6:6.0f} MB"
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
    else:
        main()
