# SPDX-License-Identifier: Apache-2.0
"""A real mariadbd on a free port, with its data in a directory of its own."""

from __future__ import annotations

import atexit
import getpass
import itertools
import os
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Self

import pymysql
from twisted.trial.unittest import SkipTest

from stackviz_deployer.settings import MysqlServer

PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
STARTED_S = 60
ROOT_PASSWORD = "root of the tests"
PASSWORD = "p@ss:w/ö rd"
_numbers = itertools.count(1)


def free_port() -> int:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


class MariaDb:
    """``options``: of mariadbd, without their dashes."""

    def __init__(self, *options: str) -> None:
        self.options = options
        self.port = free_port()
        # short, because the path of a socket may have 107 characters
        self.directory = Path(tempfile.mkdtemp(prefix="sv-mariadb-"))
        self.log = self.directory / "log"
        self.process: subprocess.Popen[bytes] | None = None
        atexit.register(self.remove)
        subprocess.run(
            [
                find("mariadb-install-db"),
                "--no-defaults",
                f"--datadir={self.directory / 'data'}",
                f"--user={getpass.getuser()}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=120,
        )
        self.start()
        with self.root("mysql", password="") as root:
            root.execute(f"SET PASSWORD = PASSWORD('{ROOT_PASSWORD}')")

    def start(self) -> None:
        """Returns when it answers."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    find("mariadbd"),
                    "--no-defaults",
                    f"--datadir={self.directory / 'data'}",
                    f"--socket={self.directory / 'socket'}",
                    f"--pid-file={self.directory / 'pid'}",
                    f"--port={self.port}",
                    f"--user={getpass.getuser()}",
                    "--bind-address=127.0.0.1",
                    "--skip-name-resolve",
                    "--innodb-buffer-pool-size=32M",
                    "--innodb-log-file-size=16M",
                    *(f"--{option}" for option in self.options),
                ],
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + STARTED_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError(self.log.read_text(errors="replace")[-3000:]) from None
                time.sleep(0.05)  # another process's start has no event
            else:
                return

    def kill(self) -> None:
        """As a power cut would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """As its administrator would."""
        assert self.process is not None
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()

    def remove(self) -> None:
        atexit.unregister(self.remove)
        if self.process is not None and self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def root(self, name: str, *, password: str = ROOT_PASSWORD) -> Root:
        return Root(
            pymysql.connect(
                host="127.0.0.1",
                port=self.port,
                user="root",
                password=password,
                database=name,
                autocommit=True,
            )
        )

    def database(self, *, rights: str = "ALL PRIVILEGES", **kw: object) -> MysqlServer:
        """A new empty one, and a user who may use no other."""
        name = f"stackviz_{next(_numbers)}"
        with self.root("mysql") as root:
            root.execute(f"CREATE DATABASE {name} CHARACTER SET latin1")  # whatever its default is
            root.execute(f"CREATE USER {name}@'%' IDENTIFIED BY '{PASSWORD}'")
            root.execute(f"GRANT {rights} ON {name}.* TO {name}@'%'")
        return MysqlServer(
            **{"host": "127.0.0.1", "port": self.port, "user": name, "password": PASSWORD, "name": name, **kw}
        )


class Root:
    """A session of its administrator."""

    def __init__(self, connection) -> None:
        self.connection = connection

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.connection.close()

    def execute(self, sql: str, values=None) -> list[tuple]:
        with self.connection.cursor() as cursor:
            cursor.execute(sql, values)
            return list(cursor.fetchall())


def find(command: str) -> str:
    found = shutil.which(command, path=PATH)
    if found is None:
        raise SkipTest(f"needs {command} (Debian package mariadb-server)")
    return found


@cache
def shared() -> MariaDb:
    """One for all tests of this process that leave it as it is; it need not outlive a power cut."""
    return MariaDb("innodb-flush-log-at-trx-commit=0", "skip-innodb-doublewrite")
