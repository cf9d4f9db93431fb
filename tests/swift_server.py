# SPDX-License-Identifier: Apache-2.0
"""Debian's OpenStack Swift on free loopback ports, with its S3 API: an object store that people run.

One replica on one device, which is a directory; accounts by tempauth, whose tokens (like what the proxies
remember of accounts and containers) memcached keeps.  What it stores outlives ``kill``, and is gone after
``stop``.  The tests' own questions go by Swift's API, so that nothing of ours is on both sides.
"""

from __future__ import annotations

import atexit
import contextlib
import getpass
import hashlib
import http.client
import json
import os
import pickle
import shutil
import sqlite3
import subprocess
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
from botocore.exceptions import BotoCoreError, ClientError
from twisted.trial.unittest import SkipTest

from stackviz_deployer.settings import Credentials
from tests.daemon import free_port
from tests.s3_server import BUCKET, ObjectServer

START_S = 120.0
PACKAGES = "swift-proxy swift-account swift-container swift-object memcached"
PYTHON = Path("/usr/bin/python3")
"""Debian's, which finds Debian's packages."""
ACCOUNT = "/v1/AUTH_test"
CREDENTIALS = Credentials(access_key="test:tester", secret_key="a-secret-that-is-in-no-log")
READER = Credentials(access_key="test:reader", secret_key="a-secret-of-no-use")
"""Of a user who may do nothing there."""
_STORED = "user.swift.metadata"

_COMMON = """\
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
swift_dir = {base}
devices = {devices}
mount_check = false
disable_fallocate = true
log_address = {base}/none
"""
_PROXY = """\
[pipeline:main]
pipeline = catch_errors gatekeeper listing_formats cache s3api tempauth copy slo dlo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
s3_acl = {s3_acl}
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = {secret} .admin
user_test_reader = {reader}
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:{memcached}
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:copy]
use = egg:swift#copy
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
"""
_STORAGE = """\
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
"""


class SwiftServer(ObjectServer):
    """Five servers of Swift's, and a memcached."""

    credentials = CREDENTIALS
    forgets = False

    def __init__(self, base: Path) -> None:
        super().__init__()
        self.base = base.absolute() / "swift"
        self.log = self.base / "log"
        self.acl_port = free_port()
        """Of another proxy, which looks at S3's access lists (``s3_acl``)."""
        self._storage = {kind: free_port() for kind in ("account", "container", "object")}
        self._memcached = free_port()
        self._devices: Path | None = None
        self._processes: list[subprocess.Popen[bytes]] = []
        self._token = ""

    def start(self) -> None:
        memcached = shutil.which("memcached")
        if memcached is None or not Path("/usr/bin/swift-proxy-server").exists():
            raise SkipTest(f"needs OpenStack Swift (Debian packages {PACKAGES})")
        self._configure()
        user = ["-u", getpass.getuser()] if os.geteuid() == 0 else []
        process = Path(__file__).with_name("swift_process.py")
        ports = [str(port) for port in self._storage.values()]
        with self.log.open("ab") as log:
            self._processes = [
                subprocess.Popen(command, cwd=self.base, stdin=subprocess.PIPE, stdout=log, stderr=log)
                for command in (
                    [memcached, "-l", "127.0.0.1", "-p", str(self._memcached), "-U", "0", "-m", "16", *user],
                    [str(PYTHON), str(process), str(self.base), *ports],
                )
            ]
        deadline = time.monotonic() + START_S
        while True:
            try:
                self._token = self._answer(
                    "GET",
                    "/auth/v1.0",
                    {"X-Auth-User": CREDENTIALS.access_key, "X-Auth-Key": CREDENTIALS.secret_key},
                )[0]["X-Auth-Token"]
                self._make_bucket()
            except (OSError, http.client.HTTPException, AssertionError, BotoCoreError, ClientError):
                if (
                    any(process.poll() is not None for process in self._processes)
                    or time.monotonic() > deadline
                ):
                    self.kill()
                    raise AssertionError(f"Swift did not start:\n{self.log.read_text()[-3000:]}") from None
                time.sleep(0.05)  # not synchronisation: the poll's pace
            else:
                return

    def _make_bucket(self) -> None:
        """By S3's API, and the proxy that minds who made it."""
        client: Any = botocore.session.Session().create_client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self.acl_port}",
            region_name="us-east-1",
            aws_access_key_id=CREDENTIALS.access_key,
            aws_secret_access_key=CREDENTIALS.secret_key,
        )
        try:
            client.create_bucket(Bucket=BUCKET)
        except client.exceptions.BucketAlreadyOwnedByYou:
            pass  # it outlived a kill
        finally:
            client.close()

    def _configure(self) -> None:
        if self._devices is not None:
            return
        self.base.mkdir(parents=True)
        self._devices = self._place_with_attributes()
        (self._devices / "disk").mkdir()
        (self.base / "swift.conf").write_text(
            "[swift-hash]\nswift_hash_path_suffix = tests\n[storage-policy:0]\nname = one\ndefault = yes\n"
        )
        common = {"user": getpass.getuser(), "base": self.base, "devices": self._devices}
        for kind, port in self._storage.items():
            text = _COMMON.format(port=port, **common) + _STORAGE.format(kind=kind)
            (self.base / f"{kind}.conf").write_text(text)
        secrets = {
            "secret": CREDENTIALS.secret_key,
            "reader": READER.secret_key,
            "memcached": self._memcached,
        }
        for name, port in (("proxy", self.port), ("proxy-acl", self.acl_port)):
            text = _COMMON.format(port=port, **common) + _PROXY.format(s3_acl=name == "proxy-acl", **secrets)
            (self.base / f"{name}.conf").write_text(text)

    def _place_with_attributes(self) -> Path:
        """On a file system that keeps extended attributes, in which Swift notes what an object is."""
        tried = [self.base, Path(tempfile.gettempdir()), Path("/var/tmp"), Path("/dev/shm")]
        for parent in tried:
            with contextlib.suppress(OSError):
                place = Path(tempfile.mkdtemp(prefix="stackviz-swift-", dir=parent))
                try:
                    os.setxattr(place, "user.swift.metadata", bytes(1024))
                    os.removexattr(place, "user.swift.metadata")
                except OSError:
                    place.rmdir()
                    raise
                return place
        names = ", ".join(str(parent) for parent in tried)
        raise SkipTest(f"needs a file system with extended attributes (user.*); none at {names}: set TMPDIR")

    def kill(self) -> None:
        processes, self._processes = self._processes, []
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()

    def stop(self) -> None:
        self.kill()
        if self._devices is not None:
            shutil.rmtree(self._devices, ignore_errors=True)

    def ask(self, method: str, key: str, body: bytes | None = None) -> bytes:
        """See S3Server."""
        where = f"{ACCOUNT}/{BUCKET}{f'/sv/{key}' if key else ''}"
        return self._answer(method, where, {"X-Auth-Token": self._token}, body)[1]

    def _answer(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes | None = None,
        *,
        port: int | None = None,
        most: int = 299,
    ) -> tuple[http.client.HTTPMessage, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=30)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            data = answer.read()
            assert answer.status <= most, (method, path, answer.status, data)
            return answer.headers, data
        finally:
            connection.close()

    def stored(self) -> set[str]:
        """See S3Server."""
        return {entry["name"].removeprefix("sv/") for entry in self._listing()} - {"probe"}

    def _listing(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(
            self._answer("GET", f"{ACCOUNT}/{BUCKET}?format=json", {"X-Auth-Token": self._token})[1]
        )
        return found

    def age(self, key: str, by_s: float) -> None:
        """See S3Server.  The object's file, and its row in the listing, are changed behind Swift's back."""
        assert self._devices is not None
        self._listing()  # what waits to be written to the container's database is
        name = f"{ACCOUNT.removeprefix('/v1')}/{BUCKET}/sv/{key}".encode()
        (path,) = [
            path
            for path in (self._devices / "disk" / "objects").rglob("*.data")
            if _facts(path)[b"name"] == name
        ]
        then = f"{float(path.stem) - by_s:016.5f}"
        stored = pickle.dumps({**_facts(path), b"X-Timestamp": then.encode()}, protocol=2)
        os.setxattr(path, _STORED, stored)
        os.setxattr(path, _STORED + "_checksum", hashlib.md5(stored).hexdigest().encode())
        path.rename(path.with_name(f"{then}.data"))
        for database in (self._devices / "disk" / "containers").rglob("*.db"):
            with contextlib.closing(sqlite3.connect(database)) as rows:
                rows.create_function(
                    "chexor", 3, lambda old, *_: old
                )  # the hash for replication, of which there is none
                columns = "name, size, content_type, etag, deleted, storage_policy_index"
                found = rows.execute(
                    f"SELECT {columns} FROM object WHERE name = ?", (f"sv/{key}",)
                ).fetchall()
                for row in found:
                    rows.execute("DELETE FROM object WHERE name = ?", (f"sv/{key}",))
                    rows.execute(
                        f"INSERT INTO object (created_at, {columns}) VALUES (?, ?, ?, ?, ?, ?, ?)",
                        (then, *row),
                    )
                rows.commit()


def _facts(path: Path) -> dict[bytes, bytes]:
    facts: dict[bytes, bytes] = pickle.loads(os.getxattr(path, _STORED))
    return facts


@cache
def shared_swift() -> SwiftServer:
    """One for all tests of this process, started when the first asks for it."""
    base = Path("swift-server").absolute()
    base.mkdir(exist_ok=True)
    server = SwiftServer(base)
    server.start()
    atexit.register(server.stop)
    return server
