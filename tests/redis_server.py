# SPDX-License-Identifier: Apache-2.0
"""Debian's redis-server on a free loopback port, with data of its own.

``Redis(base)``; ``start()`` and ``stop()`` as in tests/servers.py, ``kill()`` as a power cut would.  What it
held is gone after either, unless it was made with ``keeps=True``.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from stackviz_deployer.settings import RedisServer
from tests.servers import Server


class Redis(Server):
    """One server.  ``certificate``: its port speaks TLS, with this PEM file (certificate and key)."""

    program = "redis-server"
    package = "redis-server"

    def __init__(
        self, base: Path, *, password: str = "", certificate: Path | None = None, keeps: bool = False
    ) -> None:
        super().__init__(base / "data", base)
        self.password = password
        self.certificate = certificate
        self.keeps = keeps

    @property
    def url(self) -> str:
        secret = f":{self.password}@" if self.password else ""
        return f"{'rediss' if self.certificate else 'redis'}://{secret}127.0.0.1:{self.port}/0"

    @property
    def server(self) -> RedisServer:
        """As the configuration names it."""
        return RedisServer(host="127.0.0.1", port=self.port, password=self.password or None)

    def configuration(self) -> str:
        lines = [
            "bind 127.0.0.1",
            f'dir "{self.root}"',
            'save ""',
            f"appendonly {'yes' if self.keeps else 'no'}",
            "appendfsync always",
        ]
        if self.password:
            lines.append(f"requirepass {self.password}")
        if self.certificate is None:
            lines.append(f"port {self.port}")
        else:
            lines += ["port 0", f"tls-port {self.port}", "tls-auth-clients no"]
            lines += [f'tls-{what}-file "{self.certificate}"' for what in ("cert", "key", "ca-cert")]
        return "\n".join(lines) + "\n"

    def command(self, program: str, config: Path) -> list[str]:
        return [program, str(config)]

    def kill(self) -> None:
        """SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def ask(self, *command: str) -> Any:
        """The answer to a command, as redis-cli gives it; nothing of ours is on this way."""
        auth = ["-a", self.password, "--no-auth-warning"] if self.password else []
        tls = ["--tls", "--insecure"] if self.certificate else []
        done = subprocess.run(
            ["redis-cli", "-p", str(self.port), *auth, *tls, "--json", *command],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
        try:
            return json.loads(done.stdout)
        except ValueError:  # the lists for people, such as CLIENT LIST, come as they are
            return done.stdout
