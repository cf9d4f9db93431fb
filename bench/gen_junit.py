# SPDX-License-Identifier: Apache-2.0
"""Write a JUnit report of any size; same arguments, same bytes.

    python bench/gen_junit.py OUT [--tests 500000] [--suite 500]

Two tests of a hundred fail with a traceback and output of their own, two are skipped; the
suites have a time and a host, and follow one another.
"""

import argparse
from datetime import UTC, datetime, timedelta
from pathlib import Path

BEGIN = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
FAILURE = """\
><failure message="AssertionError: {n} != {s}" type="AssertionError">Traceback (most recent call last):
  File "/opt/stack/example/tests/module{s}.py", line {n}, in test_something_interesting_{n}
    self.assertEqual({n}, {s})
AssertionError: {n} != {s}
</failure><system-out>some output
of test {n}
</system-out></testcase>
"""
SKIP = '><skipped message="no device" type="pytest.skip">module{s}.py:{n}: no device</skipped></testcase>\n'


def suite(number, tests, begin):
    """The lines of a suite, and how long it took."""
    module = f"example.api.tests.module{number}"
    seconds = 0.0
    cases = []
    for n in range(tests):
        took = (n * 7919 % 97 + 3) / 1000
        seconds += took
        end = FAILURE if n % 50 == 7 else SKIP if n % 50 == 9 else "/>\n"
        cases.append(
            f'<testcase classname="{module}.TestClass{n % 20}" name="test_something_interesting_{n}"'
            f' time="{took:.3f}"' + end.format(n=n, s=number)
        )
    head = (
        f'<testsuite name="{module}" tests="{tests}" hostname="node-1" time="{seconds:.3f}"'
        f' timestamp="{begin.isoformat()}">\n'
    )
    return [head, *cases, "</testsuite>\n"], seconds


def write(out, tests, per_suite):
    begin = BEGIN
    with out.open("w", encoding="utf-8") as file:
        file.write('<?xml version="1.0" encoding="utf-8"?>\n<testsuites>\n')
        for number, first in enumerate(range(0, tests, per_suite)):
            lines, seconds = suite(number, min(per_suite, tests - first), begin)
            begin += timedelta(seconds=seconds + 0.1)
            file.writelines(lines)
        file.write("</testsuites>\n")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--tests", type=int, default=500_000)
    parser.add_argument("--suite", type=int, default=500, help="tests of one suite")
    a = parser.parse_args()
    write(a.out, a.tests, a.suite)


if __name__ == "__main__":
    main()
