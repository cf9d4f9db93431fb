# SPDX-License-Identifier: Apache-2.0
"""Everything that reads what strangers write, and how an input is given to it."""

from __future__ import annotations

import gzip
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import orjson
from attrs import frozen

from stackviz_deployer.errors import (
    HostNotAllowedError,
    NoArtifactsError,
    ParseError,
    QueryNotUnderstoodError,
    StackvizError,
    TooLargeError,
)
from stackviz_deployer.lookup.logurl import MAX_URL_CHARS as MAX_LOG_URL_CHARS
from stackviz_deployer.lookup.logurl import log_url_or_none, parse_log_url
from stackviz_deployer.lookup.query import LogUrlQuery, parse_query
from stackviz_deployer.model import GerritServer, InputFile, ParseRequest, ZuulServer
from stackviz_deployer.net.hosts import AllowedHosts, parse_url
from stackviz_deployer.parsers import sgr
from stackviz_deployer.parsers.ci_comments import MAX_LINES, MAX_URL_CHARS, parse_comment
from stackviz_deployer.parsers.worker import PARSERS
from stackviz_deployer.scrapers import SCRAPERS
from tests.fuzz import oracle
from tests.fuzz.mutation import MAX_BYTES, Repair, repair_archive, repair_subunit

ROOT = Path(__file__).resolve().parents[2]
CORPUS = Path(__file__).with_name("corpus")
FIXTURES = ROOT / "tests" / "fixtures"
LIMIT_S = 2.0
"""Processor time of one input."""
DECODED = 4 << 20
"""``max_bytes`` of the requests: bombs are inputs like any other."""
GLOBS = sorted({glob for scraper in SCRAPERS for glob in scraper.globs})
BOUNDARY = "--fuzz"


class TooSlowError(BaseException):
    """No Exception: nobody takes it for damage."""


@frozen(kw_only=True)
class Target:
    """One reader."""

    name: str
    run: Callable[[bytes], None]
    """Raises one of ``declared``, or returns; anything else is a finding."""
    declared: tuple[type[StackvizError], ...]
    seeds: tuple[str, ...] = ()
    """Globs below tests/fixtures, beside corpus/<name>/."""
    words: tuple[bytes, ...] = ()
    repair: Repair | None = None

    def corpus(self) -> dict[str, bytes]:
        """Seeds and what was once a finding, by name; MAX_BYTES of each."""
        paths = [*CORPUS.glob(f"{self.name}/*"), *(p for glob in self.seeds for p in FIXTURES.glob(glob))]
        found = {}
        for path in sorted(paths):
            data = path.read_bytes()
            if path.suffix == ".gz" and path.parent.parent != CORPUS:
                data = gzip.decompress(data)
            found[str(path.relative_to(ROOT))] = data[:MAX_BYTES]
        return found

    def attempt(self, data: bytes) -> str:
        """Give it ``data``: the code of the error, or ``read``.  Raises whatever is a finding."""
        with _within(LIMIT_S):
            try:
                self.run(data)
            except self.declared as error:
                oracle.promise(error.message.strip(), "an error without words")
                oracle.promise(len(error.message) < 5000, f"a message of {len(error.message)} characters")
                return error.code
        return "read"


@contextmanager
def _within(seconds: float) -> Iterator[None]:
    def stop(_number: int, _frame: object) -> None:
        raise TooSlowError(f"more than {seconds} s of processor time")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@cache
def _scratch() -> Path:
    """A directory in memory where there is one; emptied after each input."""
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="fuzz-", dir=memory if memory.is_dir() else None))


def clean_up() -> None:
    """Remove what lies in memory."""
    if _scratch.cache_info().currsize:
        shutil.rmtree(_scratch(), ignore_errors=True)
        _scratch.cache_clear()


def _parser(
    parser: str,
    name: str,
    options: Mapping[str, Any] | None = None,
    seen: Callable[[Any], None] | None = None,
) -> Callable[[bytes], None]:
    """As a worker process would run it, with the input as a file of that ``name``.

    ``seen`` looks at the result's data.
    """
    module, _, function = PARSERS[parser].partition(":")

    def run(data: bytes) -> None:
        parse = getattr(import_module(module), function)
        base = _scratch()
        out = base / "out"
        out.mkdir()
        path = base / "input"
        path.write_bytes(data)
        try:
            request = ParseRequest(
                parser=parser,
                inputs=(InputFile(path=str(path), name=name),),
                out_dir=str(out),
                max_bytes=DECODED,
                options=options or {},
            )
            result = parse(request)
            oracle.check(result, str(out))
            if seen is not None:
                seen(result.data)
        finally:
            shutil.rmtree(out)

    return run


GERRITS = (
    GerritServer(url="https://review.opendev.org/", aliases=("review.openstack.org",)),
    GerritServer(url="https://gerrit.example.org/r/", aliases=("old.example.org/gerrit",)),
)
ZUULS = (
    ZuulServer(url="https://zuul.opendev.org/"),
    ZuulServer(url="https://softwarefactory-project.io/zuul/"),
    ZuulServer(url="https://zuul.example.org/", tenants=("one",), white_label=True),
)
HOSTS = AllowedHosts(
    ["logs.openstack.org", "logs.opendev.org:8080", "*.ssl.cf*.rackcdn.com", "[2001:db8::1]"]
)


def _text(data: bytes) -> str:
    """JSON can carry any text, lone surrogates too."""
    return data.decode("utf-8", "surrogatepass" if b"\xed" in data else "replace")


def _any_text(data: bytes) -> str:
    try:
        return _text(data)
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _query(data: bytes) -> None:
    query = parse_query(_any_text(data), GERRITS, ZUULS)
    repr(query)
    if isinstance(query, LogUrlQuery):
        oracle.promise(query.url.startswith(("http://", "https://")), f"a URL {query.url!r}")


def _logurl(data: bytes) -> None:
    said = parse_log_url(_any_text(data))
    oracle.promise(said.root.endswith("/") and said.name, f"{said!r}")
    if len(said.root) > MAX_LOG_URL_CHARS:
        return  # a slash more than there was
    again = log_url_or_none(said.root)
    oracle.promise(again is not None and again.root == said.root, f"{said!r} has another root: {again!r}")
    oracle.promise(again is not None and again.key == said.key, f"{said!r} is another build: {again!r}")


def _url(data: bytes) -> None:
    target = parse_url(_any_text(data))
    oracle.promise(
        target.url.isascii() and target.url.startswith(f"{target.scheme}://{target.place}/"), f"{target!r}"
    )
    oracle.promise(parse_url(target.url) == target, f"{target!r} is another when asked again")
    HOSTS.admit(target)


def _comment(data: bytes) -> None:
    text = _any_text(data)
    said = parse_comment(text, text.partition("\n")[0])
    oracle.promise(len(said.builds) <= MAX_LINES, "more builds than lines")
    for build in said.builds:
        oracle.promise(build.name, f"{build!r}")
        oracle.promise((build.url is None) == (build.reason is not None), f"{build!r}")
        oracle.promise(build.url is None or len(build.url) <= MAX_URL_CHARS + 1, f"{build!r}")


def _sgr(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    kept = sgr.keep_colours(text.encode())
    escaped = b"\n".join(orjson.dumps(line.decode())[1:-1] for line in kept.split(b"\n"))
    plain, _ = sgr.Colours().take(escaped.replace(b"\\u001b", b"\x1b"))
    oracle.promise(b"\x1b[" not in plain, f"colours that stayed in {plain!r}")
    plain_text, runs = sgr.text_runs(text)
    units = len(plain_text.encode("utf-16-le", "surrogatepass")) // 2
    for run in runs.split():
        start, _, rest = run.partition("+")
        oracle.promise(int(start) + int(rest.partition(":")[0]) <= units, f"{run} past {units}")


_number = iter(range(1 << 62))


def _jjb(data: bytes) -> None:
    """Two files, cut at the first form feed; each time under new names, for indexes are remembered."""
    from stackviz_deployer.parsers import jjb

    where = _scratch() / f"jjb{next(_number)}"
    where.mkdir()
    try:
        for number, part in enumerate(data.split(b"\f", 1)):
            (where / f"{number}.yaml").write_bytes(part)
        index = jjb.load(str(where))
        for name in [*index.jobs, "gate-nova-pep8", "\ud800"][:50]:
            index.match(name, printed=None, interpreters=["/bin/bash -xe", None])
    finally:
        shutil.rmtree(where)


def _entries(data: Any) -> None:
    for entry in data["entries"]:
        _named(entry["name"])
        oracle.promise("/" not in entry["name"], f"{entry!r}")
        oracle.promise(entry["url"].startswith("https://logs.example.org/a/job/"), f"{entry!r} is elsewhere")
        _size(entry["size"])


def _files(data: Any) -> None:
    for row in data["files"]:
        for piece in row["path"].split("/"):
            _named(piece)
        oracle.promise(row["url"].startswith("https://logs.example.org/a/job/"), f"{row!r} is elsewhere")
        _size(row["size"])


def _named(name: str) -> None:
    oracle.promise(name not in ("", ".", "..") and "\0" not in name, f"the name {name!r}")


def _size(size: Any) -> None:
    oracle.promise(size is None or (isinstance(size, int) and size >= 0), f"a size of {size!r}")


def _unpacked(data: Any) -> None:
    for one in data["files"]:
        oracle.promise(one["file"].isdigit() and one["file"].isascii(), f"{one!r}")
        oracle.promise(not one["path"].startswith("/"), f"{one!r}")
        for piece in one["path"].split("/"):
            _named(piece)
        oracle.promise(one["path"].isprintable() or not any(c < " " for c in one["path"]), f"{one!r}")


def _decode(data: bytes) -> None:
    from stackviz_deployer.parsers.decode import Decoder

    path = _scratch() / "coded"
    path.write_bytes(data)
    decoder = Decoder(str(path), name="file", max_bytes=DECODED)
    size = sum(len(chunk) for chunk in decoder)
    oracle.promise(size == decoder.decoded_bytes <= DECODED, f"{size} bytes")


_JOB = {"url": "https://logs.example.org/a/job/", "path": "", "names": GLOBS}
_FILE_ERRORS = (ParseError, TooLargeError)
_XML = (
    b"<testsuite",
    b"<testcase ",
    b"/>",
    b">",
    b'name="',
    b'time="',
    b"<failure",
    b"</",
    b"<!DOCTYPE",
    b"<?xml ",
    b"encoding=",
    b"<![CDATA[",
    b"timestamp=",
    b"<system-out>",
    b"<properties>",
    b"&#27;",
)
_ESCAPES = (
    b"\x1b[31m",
    b"\x1b[38;5;200m",
    b"\x1b[38;2;1;2;3m",
    b"\x1b[0m",
    b"\x1b[8mha:",
    b"\x1b]0;",
    b"\x07",
    b"\x1b\\",
    b"\x1b[4:3m",
    b"\x1bP",
    b"\x1b[2K",
    b"\x1b[G",
    b"\r",
)
_JSON_WORDS = (b'"', b"[", b"]", b"{", b"}", b":", b",", b"null", b"true", b"1e400", b"\\u0000", b"\\ud800")
_DATED = (b"2016-06-01 12:00:00.123 | ", b"2016-02-30 25:61:61.000 | ", b"\n", b"0000-00-00 00:00:00.000 | ")

TARGETS: tuple[Target, ...] = (
    Target(
        name="query",
        run=_query,
        declared=(QueryNotUnderstoodError, HostNotAllowedError),
        words=(
            b"https://",
            b"/c/",
            b"/+/",
            b"~",
            b"refs/changes/",
            b"/#/c/",
            b"/q/",
            b"I" + b"0" * 40,
            b"/t/",
            b"/build/",
            b"review.opendev.org",
            b"zuul.opendev.org",
            b"/buildset/",
            b"?project=",
            b"sample:",
            b"%2F",
        ),
    ),
    Target(
        name="logurl",
        run=_logurl,
        declared=(QueryNotUnderstoodError,),
        words=(
            b"https://",
            b"/26/271726/1/check/",
            b"/periodic/",
            b"/0123abc/",
            b"a" * 40,
            b"/" * 70,
            b"%2e%2e",
            b"[::1]",
            b":65536",
            b"@",
            b"/controller/logs/",
            b"_periodic",
        ),
    ),
    Target(
        name="url",
        run=_url,
        declared=(QueryNotUnderstoodError, HostNotAllowedError),
        words=(
            b"https://",
            b"HTTP://",
            b"logs.openstack.org",
            b"[2001:db8::1]",
            b":443",
            b":8080",
            b"xn--",
            b"\xe3\x80\x82",
            b"x.ssl.cf9.rackcdn.com",
            b"%",
            "\u00df".encode(),
            "\uff0f".encode(),
        ),
    ),
    Target(
        name="comment",
        run=_comment,
        declared=(),
        words=(
            b"Patch Set 1:",
            b"Build failed (check pipeline).",
            b"- job http://x/1/ : SUCCESS in 1h 2m 3s",
            b" (non-voting)",
            b"\n- ",
            b" : ",
            b"FAILURE",
            b"/buildset/",
            b"docs-draft.",
            b"/job/",
            b"autogenerated:zuul:",
        ),
    ),
    Target(
        name="listing",
        run=_parser("listing", "the index", _JOB, _entries),
        declared=_FILE_ERRORS,
        seeds=(
            "listings/small/*",
            "listings/job/*odd*",
            "listings/job/*top*",
            "listings/manifest/*index.html",
        ),
        words=(
            b'<a href="',
            b"Index of",
            b"</a>",
            b"<pre>",
            b"<table",
            b"<tr><td",
            b"Parent Directory",
            b"../",
            b"%2F",
            b"testrepository.subunit.gz",
            b"console.html",
            b"javascript:",
            b"//other.example/",
            b"<list>",
            b"<file",
        ),
    ),
    Target(
        name="manifest",
        run=_parser("manifest", "zuul-manifest.json", _JOB, _files),
        declared=_FILE_ERRORS,
        seeds=("listings/manifest/*.json",),
        words=(
            b'"tree"',
            b'"children"',
            b'"name"',
            b'"mimetype"',
            b'"application/directory"',
            b'"size"',
            b'"..":',
            *_JSON_WORDS,
        ),
    ),
    Target(
        name="jjb",
        run=_jjb,
        declared=(),
        seeds=("jjb/*",),
        words=(
            b"- job:\n",
            b"    name: ",
            b"- job-template:\n",
            b"- project:\n",
            b"- builder:\n",
            b"    builders:\n",
            b"&a ",
            b"*a",
            b"<<: *a",
            b"!!python/object:os.system ",
            b"!include: x",
            b"{name}",
            b"{{",
            b"\f",
            b"? ",
            b"- shell: |\n",
            b"[" * 50,
        ),
    ),
    Target(
        name="subunit_v2",
        run=_parser("subunit", "logs/testrepository.subunit"),
        declared=_FILE_ERRORS,
        seeds=("subunit/*.subunit", "subunit/[lrs]*.gz"),
        words=(
            b"\xb3\x29\x00",
            b"\xb3\x2b\x03",
            b"worker-1",
            b"worker-99999999",
            b"traceback:text/plain",
            b"\xbf\xff\xff",
        ),
        repair=repair_subunit,
    ),
    Target(
        name="subunit_v1",
        run=_parser("subunit", "logs/testrepository.subunit"),
        declared=_FILE_ERRORS,
        seeds=("subunit/ondisk*",),
        words=(
            b"test: ",
            b"success: ",
            b"failure: ",
            b" [ multipart\n",
            b"Content-Type: text/plain\n",
            b"]\n",
            b"time: 2016-01-01 00:00:00.0Z\n",
            b"tags: worker-0 -x\n",
            b"progress: +5\n",
            b"FFFFFFFF\r\n",
            b"0\r\n",
            b" [\n",
            b"skip: ",
            b"xfail: ",
            b"uxsuccess: ",
        ),
    ),
    Target(
        name="junit",
        run=_parser("junit", "logs/junit.xml"),
        declared=_FILE_ERRORS,
        seeds=("junit/*.xml", "junit/surefire/*"),
        words=_XML,
    ),
    Target(
        name="dstat",
        run=_parser("dstat", "logs/dstat-csv_log.txt", {"reference_ms": 1_464_775_200_000}),
        declared=_FILE_ERRORS,
        seeds=("dstat/*.csv", "dstat/*.log"),
        words=(
            b'"Dstat 0.7.2 CSV output"',
            b'"system","total cpu usage"',
            b'"time","usr"',
            b'"epoch"',
            b"31-12 23:59:59",
            b"01-01 00:00:00",
            b"29-02 00:00:00",
            b"\n,,,\n",
            b'"Cmdline:"',
            b'"Host:"',
            b"nan",
            b"1e99",
            b'"sda","sdb"',
        ),
    ),
    Target(
        name="memory_tracker",
        run=_parser("memory_tracker", "logs/screen-memory_tracker.txt"),
        declared=_FILE_ERRORS,
        seeds=("dstat/*memory_tracker*",),
        words=(
            b"[[[",
            b"]]]",
            b"MemTotal:",
            b"MemAvailable:",
            b"SwapFree:",
            b" kB",
            b"Mon Jan 1 00:00:00 UTC 2018",
        ),
    ),
    Target(
        name="console_html",
        run=_parser("console", "console.html"),
        declared=_FILE_ERRORS,
        seeds=("console/*",),
        words=(
            *_DATED,
            b"<span class='date'>",
            b"<pre>",
            b"</pre>",
            b"&lt;",
            b"<a name='",
            b"[gate-job] $ /bin/bash -xe /tmp/h.sh",
            b"Finished: SUCCESS",
            b"Building remotely on ",
            b"$ ",
            *_ESCAPES,
        ),
    ),
    Target(
        name="console_text",
        run=_parser("console", "consoleText.txt"),
        declared=_FILE_ERRORS,
        seeds=("console/*.txt",),
        words=(
            *_DATED,
            *_ESCAPES,
            b"ERROR",
            b"CRITICAL",
            b"Traceback (most recent call last):",
            b"[x] $ ",
            b"[x] $ /bin/sh -e /tmp/jenkins1.sh\n",
            b"SCP: ",
            b"Finished: FAILURE",
            b"Build was aborted",
        ),
    ),
    Target(
        name="job_output_text",
        run=_parser("console", "job-output.txt"),
        declared=_FILE_ERRORS,
        seeds=("zuul/*.txt", "zuul/*.txt.gz"),
        words=(
            *_DATED,
            *_ESCAPES,
            b"RUN START: [untrusted : a/playbooks/b.yaml@main]",
            b"RUN END RESULT_TIMED_OUT: [x]",
            b"TASK [",
            b"PLAY [",
            b"PLAY RECAP",
            b"localhost | ",
            b"node -> other | ",
            b"{\n",
            b'"msg": ',
        ),
    ),
    Target(
        name="job_output_json",
        run=_parser("job_output", "job-output.json"),
        declared=_FILE_ERRORS,
        seeds=("zuul/*.json", "zuul/*.json.gz"),
        words=(
            b'"plays"',
            b'"tasks"',
            b'"hosts"',
            b'"failed"',
            b'"results"',
            b'"stdout"',
            b'"stdout_lines"',
            b'"duration"',
            b'"start"',
            b'"rc"',
            b'"skipped"',
            b'"unreachable"',
            b'"stats"',
            b'"playbook"',
            b'"phase"',
            *_JSON_WORDS,
        ),
    ),
    Target(
        name="upload_archive",
        run=_parser(
            "upload",
            "What was sent",
            {"globs": GLOBS, "name": "logs.tar", "boundary": None, "entry_bytes": 1 << 20},
            _unpacked,
        ),
        declared=(*_FILE_ERRORS, NoArtifactsError),
        words=(
            b"ustar\0",
            b"ustar  \0",
            b"PK\3\4",
            b"PK\1\2",
            b"PK\5\6",
            b"PK\6\6",
            b"PK\6\7",
            b"../../etc/passwd",
            b"path=",
            b"size=",
            b"x" * 300,
            b"GNU.sparse.major=1\n",
            b"30 mtime=1e400\n",
            b"C:\\",
            b"logs/",
        ),
        repair=repair_archive,
    ),
    Target(
        name="upload_form",
        run=_parser(
            "upload",
            "What was sent",
            {"globs": GLOBS, "name": None, "boundary": BOUNDARY, "entry_bytes": 1 << 20},
            _unpacked,
        ),
        declared=(*_FILE_ERRORS, NoArtifactsError),
        words=(
            b"----fuzz\r\n",
            b"\r\n----fuzz--\r\n",
            b'Content-Disposition: form-data; name="a"; filename="',
            b"filename*=utf-8''%00",
            b"\r\n\r\n",
            b"Content-Type: ",
            b"Content-Transfer-Encoding: base64",
            b"charset=utf-7",
            b"\r\n----fuzz",
            b'filename=""',
        ),
        repair=repair_archive,
    ),
    Target(
        name="gerrit",
        run=_parser("gerrit", "answer", {"ci_accounts": ["zuul", "* CI"], "host": "review.example.org"}),
        declared=_FILE_ERRORS,
        words=(
            b")]}'\n",
            b'"messages"',
            b'"author"',
            b'"_number"',
            b'"_revision_number"',
            b'"date"',
            b'"message"',
            b'"current_revision"',
            *_JSON_WORDS,
        ),
    ),
    Target(
        name="gerrit_changes",
        run=_parser("gerrit", "answer", {"ci_accounts": [], "host": "review.example.org", "kind": "changes"}),
        declared=_FILE_ERRORS,
        words=(b")]}'\n", b'"_number"', b'"_more_changes"', b'"subject"', b'"project"', *_JSON_WORDS),
    ),
    Target(
        name="zuul",
        run=_parser("zuul", "answer", {"host": "zuul.example.org", "kind": "builds"}),
        declared=_FILE_ERRORS,
        words=(
            b'"uuid"',
            b'"log_url"',
            b'"job_name"',
            b'"start_time"',
            b'"duration"',
            b'"artifacts"',
            b'"metadata"',
            b'"zuul_manifest"',
            *_JSON_WORDS,
        ),
    ),
    Target(
        name="zuul_buildset",
        run=_parser("zuul", "answer", {"host": "zuul.example.org", "kind": "buildset"}),
        declared=_FILE_ERRORS,
        words=(b'"builds"', b'"retry_builds"', b'"refs"', b'"change"', b'"patchset"', *_JSON_WORDS),
    ),
    Target(name="sgr", run=_sgr, declared=(), words=_ESCAPES),
    Target(
        name="decode",
        run=_decode,
        declared=_FILE_ERRORS,
        words=(
            b"\x1f\x8b\x08\x00",
            b"\x1f\x8b\x08\x1f",
            b"\xfd7zXZ\0",
            b"BZh9",
            b"\x28\xb5\x2f\xfd",
            b"\x78\x9c",
            b"\x50\x2a\x4d\x18",
            b"\x5d\0\0",
        ),
    ),
)
"""All of them."""
