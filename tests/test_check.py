# SPDX-License-Identifier: Apache-2.0
"""``twistd stackviz-deployer --check``, as an operator runs it."""

import contextlib
import os
import socket
import sqlite3
import ssl
import subprocess
import sys
import textwrap
import time
from contextlib import closing
from pathlib import Path
from threading import Event, Thread
from typing import Any

import yaml
from attrs import evolve
from twisted.trial.unittest import TestCase

from stackviz_deployer.check import RESOLVE_S, Means, check
from stackviz_deployer.check_shared import MOST_BYTES, shared
from stackviz_deployer.config import Config
from stackviz_deployer.settings import RedisServer
from tests import mariadb
from tests.daemon import Daemon, free_port
from tests.redis_server import Redis
from tests.test_operation import TWISTD
from tests.web.test_listen import write_certificate

NOTHING: dict[str, Any] = {"gerrits": [], "zuuls": [], "log_hosts": []}


def say_much(listener: socket.socket, before: int) -> None:
    """As a Redis does, with its version behind so many bytes."""
    wire, _ = listener.accept()
    with wire, wire.makefile("rwb") as file:
        for answer in (
            b"+OK\r\n",
            b"$999999\r\n" + b"x" * before + b"\r\nredis_version:7.0.0\r\n" + b"x" * 999_999,
        ):
            for _ in range(5 if answer[:1] == b"+" else 3):
                file.readline()
            file.write(answer)
            with contextlib.suppress(OSError):  # who has heard enough hangs up
                file.flush()


class CheckTests(TestCase):
    timeout = 120

    def setUp(self) -> None:
        self.base = Path(self.mktemp()).absolute()
        self.base.mkdir()
        self.state = self.base / "state"
        self.port = free_port()

    def check_(self, **config: Any) -> tuple[int, list[str]]:
        """Status and lines."""
        file = self.base / "check.yaml"
        given = {**NOTHING, "http": f"tcp:{self.port}:interface=127.0.0.1", "state_dir": str(self.state)}
        file.write_text(yaml.safe_dump({**given, **config}), encoding="utf-8")
        done = subprocess.run(
            [TWISTD, "stackviz-deployer", f"--config={file}", "--check"],
            cwd=self.base,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        file.unlink()
        self.assertEqual(done.stderr, "")
        return done.returncode, done.stdout.splitlines()

    def line(self, lines: list[str], part: str) -> str:
        (found,) = [line for line in lines if line.split()[1] == f"{part}:"]
        return found

    def test_all_is_well_and_nothing_is_left_behind(self) -> None:
        status, lines = self.check_()
        self.assertEqual(status, 0, lines)
        self.assertEqual({line.split()[0] for line in lines}, {"ok"})
        parts = {line.split()[1] for line in lines}
        self.assertEqual(parts, {"state_dir:", "database:", "http:", "connections:", "stackviz:", "workers:"})
        self.assertEqual(list(self.base.iterdir()), [])

    def test_beside_a_running_daemon(self) -> None:
        daemon = Daemon(self.base / "d", NOTHING)
        self.addCleanup(daemon.stop)
        daemon.start()
        assert daemon.process is not None
        self.state, self.port = daemon.state, daemon.port
        status, lines = self.check_()
        self.assertEqual(status, 0, lines)
        self.assertIn(f"in use by a running daemon (process {daemon.process.pid})", lines[0])
        self.assertIn("taken, it seems by the running daemon", self.line(lines, "http"))
        self.assertTrue(self.line(lines, "database").startswith("ok"))
        self.assertEqual(daemon.request("GET", "/health")[0], 200)

    def test_a_stopped_daemons_state_stays_as_it_is(self) -> None:
        daemon = Daemon(self.base / "d", NOTHING)
        daemon.start()
        daemon.stop()
        self.state = daemon.state
        before = sorted(self.state.iterdir())
        self.assertEqual(self.check_()[0], 0)
        self.assertEqual(sorted(self.state.iterdir()), before)

    def test_taken_ports(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            endpoint = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
            status, lines = self.check_(metrics=endpoint)
        self.assertEqual(status, 1)
        self.assertTrue(self.line(lines, "http").startswith("ok"))
        self.assertRegex(self.line(lines, "metrics"), "^error .*in use; free the port or name another")

    def test_no_endpoint(self) -> None:
        for endpoint in ("foo:1", "tcp:99999", "systemd:domain=AF_INET:index=0"):
            status, lines = self.check_(http=endpoint)
            self.assertEqual(status, 1)
            self.assertTrue(self.line(lines, "http").startswith("error"))

    def test_a_socket_of_systemds(self) -> None:
        status, lines = self.check_(http="systemd:domain=INET6:index=0")
        self.assertEqual(status, 0, lines)
        self.assertTrue(self.line(lines, "http").startswith("ok"))

    def test_databases(self) -> None:
        self.state.mkdir()
        path = self.state / "stackviz.sqlite3"
        path.write_bytes(b"no database" * 100)
        status, lines = self.check_()
        self.assertEqual(status, 1)
        self.assertRegex(self.line(lines, "database"), "^error .*put a backup in its place")
        path.unlink()
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA user_version = 999")
        status, lines = self.check_()
        self.assertEqual(status, 1)
        self.assertRegex(self.line(lines, "database"), "^error .*newer release")

    def test_a_state_directory_that_is_none(self) -> None:
        self.state.write_text("a file", encoding="utf-8")
        status, lines = self.check_()
        self.assertEqual(status, 1)
        self.assertRegex(self.line(lines, "state_dir"), "^error .*cannot write")

    def test_the_public_configuration_of_the_readme(self) -> None:
        readme = (Path(__file__).resolve().parent.parent / "README.rst").read_text(encoding="utf-8")
        block = (
            readme.partition(".. the public configuration\n")[2].partition("::")[2].partition("yaml\n\n")[2]
        )
        given = yaml.safe_load(textwrap.dedent(block.partition("\n\n``")[0]))
        self.assertEqual(given.keys(), {"http", "hosts"})
        write_certificate(self.base, 1)
        endpoint = given["http"].replace("ssl:443:", f"ssl:{self.port}:")
        for there, here in (("private/stackviz.pem", "key.pem"), ("certs/stackviz.pem", "cert.pem")):
            self.assertIn(f"=/etc/ssl/{there}", endpoint)
            endpoint = endpoint.replace(f"/etc/ssl/{there}", str(self.base / here))
        status, lines = self.check_(**{**given, "http": endpoint})
        self.assertEqual(status, 0, lines)
        self.assertTrue(self.line(lines, "http").startswith("ok"))

    def test_few_descriptors(self) -> None:
        status, lines = self.check_(connections={"total": 10_000_000})
        self.assertEqual(status, 0)
        self.assertRegex(
            self.line(lines, "connections"), r"^warning .* of connections\.total; allow 200\d{5} "
        )

    def test_no_build(self) -> None:
        status, lines = self.check_(stackviz=str(self.base))
        self.assertEqual(status, 1)
        self.assertRegex(self.line(lines, "stackviz"), "^error .*no index.html")

    def test_servers_are_warnings(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as up:
            good, bad = up.getsockname()[1], free_port()
            status, lines = self.check_(
                log_hosts=[f"logs.example:{good}", "*.example.org"],
                gerrits=[{"url": f"http://review.example:{bad}/"}],
                resolve={"logs.example": "127.0.0.1", "review.example": "127.0.0.1"},
                private_networks=["127.0.0.0/8"],
            )
        self.assertEqual(status, 0)
        self.assertRegex(self.line(lines, "log_hosts"), "^ok .*can be reached")
        self.assertRegex(self.line(lines, "gerrits"), "^warning .*cannot be reached: .*refused")

    def test_servers_at_private_addresses_are_not_connected_to(self) -> None:
        """By name (``resolve`` or DNS) and as a literal; the listener must not see anybody."""
        with socket.create_server(("127.0.0.1", 0)) as private:
            port = private.getsockname()[1]
            _, lines = self.check_(
                log_hosts=[f"logs.example:{port}"],
                gerrits=[{"url": f"http://localhost:{port}/"}],
                zuuls=[{"url": f"http://127.0.0.1:{port}/"}],
                resolve={"logs.example": "127.0.0.1"},
            )
            private.setblocking(False)
            self.assertRaises(BlockingIOError, private.accept)
        for part in ("log_hosts", "gerrits", "zuuls"):
            self.assertRegex(
                self.line(lines, part),
                "^warning .*is an address of this machine itself; add its network to private_networks",
            )

    def test_the_daemon_is_no_server_that_it_asks(self) -> None:
        """The rule of its own endpoints, which the daemon applies at each connection."""
        metrics = free_port()
        with socket.create_server(("127.0.0.1", 0)) as other:
            _, lines = self.check_(
                gerrits=[{"url": f"http://127.0.0.1:{self.port}/"}],
                zuuls=[{"url": f"http://localhost:{metrics}/"}],
                log_hosts=[f"127.0.0.1:{other.getsockname()[1]}"],
                metrics=f"tcp:{metrics}",
                private_networks=["127.0.0.0/8", "::1/128"],
            )
        self.assertRegex(self.line(lines, "gerrits"), "^warning .* is where the daemon itself listens")
        self.assertRegex(self.line(lines, "zuuls"), "^warning .* is where the daemon itself listens")
        self.assertRegex(self.line(lines, "log_hosts"), "^ok ")

    def test_dns_that_does_not_answer(self) -> None:
        """The C library asks for as long as it likes; --check waits no longer than its own deadline."""
        answered = Event()
        self.addCleanup(answered.set)
        asked_s: list[float] = []

        def never(*_args: Any, **_named: Any) -> list[Any]:
            asked_s.append(time.monotonic())
            answered.wait()
            return []

        self.patch(socket, "getaddrinfo", never)
        config = Config(state_dir=self.state, gerrits=(), zuuls=(), log_hosts=("a.example", "b.example:80"))
        found = [one for one in check(config, self.means()) if one.part == "log_hosts"]
        self.assertFalse(answered.is_set())
        first, second = asked_s
        self.assertLess(second - first, RESOLVE_S)  # not one after the other
        for one in found:
            self.assertEqual(one.verdict, "warning")
            self.assertIn("DNS gave no answer within 5 seconds", one.text)
        self.assertEqual(len(found), 2)

    def test_shared_servers(self) -> None:
        maria = mariadb.shared()
        database = maria.database()
        redis = Redis(Path(self.mktemp()).absolute(), password="geheim")
        redis.start()
        self.addCleanup(redis.stop)
        right = RedisServer(host="127.0.0.1", port=redis.port, password="geheim")
        poor = maria.database(rights="SELECT, INSERT, UPDATE, DELETE")
        stale = maria.database()
        with maria.root(stale.name) as root:
            root.execute("CREATE TABLE stackviz_form (one INT, version INT)")
            root.execute("INSERT INTO stackviz_form VALUES (1, 99)")
        for mysql, server, verdicts, words in (
            (database, right, ["ok", "ok"], "brings its form from 0 to "),
            (evolve(database, password="other"), right, ["error", "ok"], "correct the user and the password"),
            (stale, right, ["error", "ok"], "newer release"),
            (database, evolve(right, password="nein"), ["ok", "error"], "WRONGPASS"),
            (database, evolve(right, db=77), ["ok", "error"], "out of range"),
            (database, evolve(right, port=mariadb.free_port()), ["ok", "error"], "refused"),
            (database, evolve(right, port=database.port), ["ok", "error"], "correct 'redis'"),
            (database, evolve(right, tls=True), ["ok", "error"], "correct 'redis'"),
            (poor, right, ["error", "ok"], "may not CREATE, ALTER, INDEX, DROP there; GRANT ALL"),
            (evolve(database, tls=True, ssl_ca="/no/such"), right, ["error", "ok"], "names /no/such: "),
        ):
            with self.subTest(words):
                config = Config(
                    state_dir=self.state, gerrits=(), zuuls=(), log_hosts=(), database=mysql, redis=server
                )
                found = [one for one in check(config, self.means()) if one.part in ("database", "redis")]
                self.assertEqual([one.verdict for one in found], verdicts, found)
                said = " ".join(one.text for one in found)
                self.assertIn(words, said)
                for secret in (mysql.password, server.password):
                    self.assertNotIn(secret, said)

    def redis_finding(self, server: RedisServer) -> Any:
        config = Config(state_dir=self.state, gerrits=(), zuuls=(), log_hosts=(), redis=server)
        (found,) = [one for one in check(config, self.means()) if one.part == "redis"]
        return found

    def test_without_the_extra(self) -> None:
        """Neither the check nor the start is lost for words."""
        (self.base / "pymysql.py").write_text("raise ImportError('none', name='pymysql')", encoding="utf-8")
        (self.base / "shared").mkdir()
        file = self.base / "cluster.yaml"
        config = {**NOTHING, "state_dir": str(self.state), "http": f"tcp:{self.port}:interface=127.0.0.1"}
        config |= {"database": "mysql", "redis": "env", "blobs": {"path": str(self.base / "shared")}}
        file.write_text(yaml.safe_dump(config), encoding="utf-8")
        for options in (["--check"], []):
            done = subprocess.run(
                [TWISTD, "-n", "--pidfile=", "stackviz-deployer", f"--config={file}", *options],
                cwd=self.base,
                env={**os.environ, "PYTHONPATH": str(self.base)},
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            said = done.stdout + done.stderr
            self.assertEqual(done.returncode, 1, said)
            self.assertIn("mysql needs pymysql; pip install 'stackviz-deployer[cluster]'", said)
            self.assertNotIn("Traceback", said)

    def test_a_redis_that_would_lose_tasks(self) -> None:
        redis = Redis(Path(self.mktemp()).absolute())
        redis.start()
        self.addCleanup(redis.stop)
        server = RedisServer(host="127.0.0.1", port=redis.port)
        redis.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        self.assertEqual(self.redis_finding(server).verdict, "ok")  # it is never full
        redis.ask("CONFIG", "SET", "maxmemory", "100mb")
        found = self.redis_finding(server)
        self.assertEqual(found.verdict, "warning")
        self.assertIn("maxmemory-policy to noeviction, it is allkeys-lru", found.text)

    def test_a_redis_that_wants_tls(self) -> None:
        base = Path(self.mktemp()).absolute()
        base.mkdir()
        write_certificate(base, 1)
        pem = base / "both.pem"
        pem.write_bytes((base / "key.pem").read_bytes() + (base / "cert.pem").read_bytes())
        redis = Redis(base / "redis", certificate=pem)
        redis.start()
        self.addCleanup(redis.stop)
        found = self.redis_finding(RedisServer(host="127.0.0.1", port=redis.port))
        self.assertEqual(found.verdict, "error")
        self.assertIn("does it want TLS (rediss://)?", found.text)

    def test_an_object_store_that_is_not_trusted(self) -> None:
        write_certificate(self.base, 1)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.base / "cert.pem", self.base / "key.pem")
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)

        def serve() -> None:
            with contextlib.suppress(OSError):  # the listener is closed
                while True:
                    wire, _ = listener.accept()
                    with contextlib.suppress(OSError), wire, context.wrap_socket(wire, server_side=True):
                        pass

        Thread(target=serve, daemon=True).start()
        keys = self.base / "keys"
        keys.write_text("[default]\naws_access_key_id = A\naws_secret_access_key = B\n", encoding="utf-8")
        keys.chmod(0o600)
        endpoint = f"https://localhost:{listener.getsockname()[1]}"
        place = {"kind": "s3", "endpoint": endpoint, "bucket": "stackviz", "credentials_file": str(keys)}
        status, lines = self.check_(blobs=place)
        self.assertEqual(status, 1)
        self.assertIn("compare blobs.ca_file with the server's certificate", "\n".join(lines))

    def test_a_redis_that_says_much(self) -> None:
        for before, verdict in ((MOST_BYTES - 100, "ok"), (MOST_BYTES, "error")):
            listener = socket.create_server(("127.0.0.1", 0))
            self.addCleanup(listener.close)
            Thread(target=say_much, args=(listener, before), daemon=True).start()
            server = RedisServer(host="127.0.0.1", port=listener.getsockname()[1])
            found = self.redis_finding(server)
            self.assertEqual(found.verdict, verdict, found)

    def means(self, *command: str) -> Means:
        return Means(
            try_bucket=lambda _bucket: None,
            parse_endpoint=str,
            newest_form=lambda: 1,
            shared=shared,
            worker_command=command or (sys.executable, "-c", ""),
            refusal=lambda _address: None,
            is_among=lambda *_place: False,
        )

    def test_workers_that_cannot_start(self) -> None:
        config = Config(state_dir=self.state, gerrits=(), zuuls=(), log_hosts=())
        for command, words in (
            (("/no/such/python",), "cannot be started: .*/no/such/python"),
            ((sys.executable, "-c", "raise SystemExit('no module')"), "ends at once: no module"),
        ):
            (found,) = [one for one in check(config, self.means(*command)) if one.part == "workers"]
            self.assertEqual(found.verdict, "error")
            self.assertRegex(found.text, words)

    def test_wrong_configuration(self) -> None:
        done = subprocess.run(
            [TWISTD, "stackviz-deployer", "--check", "--config=/nowhere"],
            cwd=self.base,
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(done.returncode, 1)
        self.assertIn("cannot read the configuration /nowhere", done.stdout + done.stderr)
