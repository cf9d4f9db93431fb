# SPDX-License-Identifier: Apache-2.0
"""Debian's web servers on a free loopback port, for tests that need the real ones.

``Apache(document_root, base)``, and Nginx, Caddy, Lighttpd and PythonServer alike: ``base`` is a directory of
the test's for configuration and logs; ``start()`` returns when the port answers, ``stop()`` when the process
is gone.  Without the program the test is skipped, with the name of the package that brings it.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

from twisted.trial.unittest import SkipTest

START_S = 120.0
FANCY = "FancyIndexing VersionSort HTMLTable NameWidth=* DescriptionWidth=* Charset=UTF-8"
"""IndexOptions of Debian's and Ubuntu's apache2."""


class Server:
    """A child process that serves ``document_root`` at ``http://127.0.0.1:<port>/``."""

    program: str
    package: str

    def __init__(self, document_root: Path, base: Path) -> None:
        self.root = document_root.absolute()
        self.base = base.absolute()
        self.port = _free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def start(self) -> None:
        program = shutil.which(self.program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
        if program is None:
            raise SkipTest(f"needs {self.program} (Debian package {self.package})")
        self.base.mkdir(parents=True, exist_ok=True)
        self.root.mkdir(parents=True, exist_ok=True)
        self._let_in()
        config = self.base / "server.conf"
        config.write_text(self.configuration(), encoding="utf-8")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(program, config),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "HOME": str(self.base)},  # Caddy keeps its state there
            )
        deadline = time.monotonic() + START_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.stop()
                    said = self.log.read_text(encoding="utf-8", errors="replace")
                    raise AssertionError(f"{self.program} did not start:\n{said[-3000:]}") from None
                time.sleep(0.02)  # it tells nobody when it listens
            else:
                return

    def _let_in(self) -> None:
        """Started by root, the servers become www-data: trial's directories are for their owner alone."""
        here = Path.cwd()
        if os.geteuid() == 0:
            for folder in (self.root, *self.root.parents):
                if folder.is_relative_to(here):
                    folder.chmod(folder.stat().st_mode | 0o055)

    def stop(self) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    @property
    def log(self) -> Path:
        return self.base / "server.log"

    def configuration(self) -> str:
        raise NotImplementedError

    def command(self, program: str, config: Path) -> list[str]:
        raise NotImplementedError


class Apache(Server):
    """Apache httpd.  ``index_options``: the IndexOptions; ``extra``: further lines of configuration."""

    program = "apache2"
    package = "apache2"

    def __init__(
        self, document_root: Path, base: Path, *, index_options: str = FANCY, extra: str = ""
    ) -> None:
        super().__init__(document_root, base)
        self.index_options = index_options
        self.extra = extra

    def configuration(self) -> str:
        modules = Path("/usr/lib/apache2/modules")
        loads = "\n".join(
            f"LoadModule {name}_module {modules}/mod_{name}.so"
            for name in ("mpm_event", "authz_core", "autoindex", "dir", "alias", "mime", "headers", "rewrite")
        )
        # started by root it must become somebody else
        user = "User www-data\nGroup www-data" if os.geteuid() == 0 else ""
        return f"""
ServerRoot "{self.base}"
ServerName localhost
Listen 127.0.0.1:{self.port}
PidFile "{self.base}/httpd.pid"
ErrorLog "{self.base}/error.log"
Mutex pthread
{loads}
{user}
StartServers 1
ServerLimit 2
ThreadsPerChild 16
MaxRequestWorkers 32
TypesConfig /etc/mime.types
AddType application/x-gzip .gz
AddIconByType (TXT,/icons/text.gif) text/*
AddIcon /icons/folder.gif ^^DIRECTORY^^
AddIcon /icons/back.gif ..
DefaultIcon /icons/unknown.gif
KeepAliveTimeout 5
DocumentRoot "{self.root}"
<Directory "{self.root}">
  Options Indexes FollowSymLinks
  AllowOverride None
  Require all granted
  IndexOptions {self.index_options}
</Directory>
{self.extra}
"""

    def command(self, program: str, config: Path) -> list[str]:
        return [program, "-f", str(config), "-DFOREGROUND"]


class Nginx(Server):
    """nginx.  ``location``: further lines for the one location; ``extra``: for the server."""

    program = "nginx"
    package = "nginx-light"

    def __init__(self, document_root: Path, base: Path, *, location: str = "", extra: str = "") -> None:
        super().__init__(document_root, base)
        self.location = location
        self.extra = extra

    def configuration(self) -> str:
        temporary = "".join(
            f"  {kind}_temp_path {self.base}/{kind};\n"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        user = "user www-data;" if os.geteuid() == 0 else ""
        return f"""
{user}
daemon off;
worker_processes 1;
pid {self.base}/nginx.pid;
error_log {self.base}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off;
{temporary}
  server {{
    listen 127.0.0.1:{self.port};
    root "{self.root}";
    {self.extra}
    location / {{
      autoindex on;
      {self.location}
    }}
  }}
}}
"""

    def command(self, program: str, config: Path) -> list[str]:
        return [program, "-p", str(self.base), "-c", str(config)]


class Caddy(Server):
    """Caddy, with its browse pages."""

    program = "caddy"
    package = "caddy"

    def configuration(self) -> str:
        return f"""
{{
    admin off
    auto_https off
}}
http://127.0.0.1:{self.port} {{
    bind 127.0.0.1
    root * "{self.root}"
    file_server browse
}}
"""

    def command(self, program: str, config: Path) -> list[str]:
        return [program, "run", "--config", str(config), "--adapter", "caddyfile"]


class Lighttpd(Server):
    """lighttpd, with directory listings."""

    program = "lighttpd"
    package = "lighttpd"

    def configuration(self) -> str:
        return f"""
server.bind = "127.0.0.1"
server.port = {self.port}
server.document-root = "{self.root}"
server.modules = ("mod_dirlisting", "mod_indexfile", "mod_staticfile")
server.upload-dirs = ("{self.base}")
index-file.names = ("index.html")
dir-listing.activate = "enable"
"""

    def command(self, program: str, config: Path) -> list[str]:
        return [program, "-D", "-f", str(config)]


class PythonServer(Server):
    """``python -m http.server``."""

    program = sys.executable
    package = "python3"

    def configuration(self) -> str:
        return ""

    def command(self, program: str, _config: Path) -> list[str]:
        options = ["--bind", "127.0.0.1", "--directory", str(self.root)]
        return [program, "-m", "http.server", *options, str(self.port)]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
