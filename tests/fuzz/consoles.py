# SPDX-License-Identifier: Apache-2.0
"""What a job printed, its colours, and the definitions by which its parts get names."""

from __future__ import annotations

import shutil
from itertools import count

import orjson

from stackviz_deployer.parsers import jjb, sgr
from tests.fuzz.oracle import promise
from tests.fuzz.target import Target, file_target, scratch

_number = count()


def _sgr(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    kept = sgr.keep_colours(text.encode())
    escaped = b"\n".join(orjson.dumps(line.decode())[1:-1] for line in kept.split(b"\n"))
    plain, _ = sgr.Colours().take(escaped.replace(b"\\u001b", b"\x1b"))
    promise(b"\x1b[" not in plain, f"colours that stayed in {plain!r}")
    plain_text, runs = sgr.text_runs(text)
    units = len(plain_text.encode("utf-16-le", "surrogatepass")) // 2
    for run in runs.split():
        start, _, rest = run.partition("+")
        promise(int(start) + int(rest.partition(":")[0]) <= units, f"{run} past {units}")


def _jjb(data: bytes) -> None:
    """Two files, cut at the first form feed; each time under new names, for indexes are remembered."""
    where = scratch() / f"jjb{next(_number)}"
    where.mkdir()
    try:
        for number, part in enumerate(data.split(b"\f", 1)):
            (where / f"{number}.yaml").write_bytes(part)
        index = jjb.load(str(where))
        for name in [*index.jobs, "gate-nova-pep8", "\ud800"][:50]:
            index.match(name, printed=None, interpreters=["/bin/bash -xe", None])
    finally:
        shutil.rmtree(where)


TARGETS = (
    *(
        file_target(name, parser, file, seeds=seeds, dictionaries=(name, *more))
        for name, parser, file, seeds, more in (
            ("console_html", "console", "console.html", ("console/*",), ("dates", "colours")),
            ("console_text", "console", "consoleText.txt", ("console/*.txt",), ("dates", "colours")),
            (
                "job_output_text",
                "console",
                "job-output.txt",
                ("zuul/*.txt", "zuul/*.txt.gz"),
                ("dates", "colours"),
            ),
            (
                "job_output_json",
                "job_output",
                "job-output.json",
                ("zuul/*.json", "zuul/*.json.gz"),
                ("json",),
            ),
        )
    ),
    Target(name="jjb", run=_jjb, declared=(), seeds=("jjb/*",), dictionaries=("jjb",)),
    Target(name="sgr", run=_sgr, declared=(), dictionaries=("colours",)),
)
