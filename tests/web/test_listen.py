# SPDX-License-Identifier: Apache-2.0
"""``ssl:`` endpoints: served, with HSTS, and with the certificate that lies there now."""

import contextlib
import datetime as dt
import os
import resource
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from twisted.internet import endpoints, reactor
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread
from twisted.python.systemd import ListenFDs
from twisted.trial.unittest import SynchronousTestCase

from stackviz_deployer.web import listen
from stackviz_deployer.web.listen import AGAIN_S, listening
from tests.daemon import free_port
from tests.web.door import Client, SocketCase, split
from tests.web.fakes import UUID, an_artifact

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def write_certificate(folder: Path, number: int) -> bytes:
    """A key and a certificate of our own with this serial number; the certificate as DER."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(number)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    (folder / "cert.pem").write_bytes(certificate.public_bytes(pem))
    return certificate.public_bytes(serialization.Encoding.DER)


@contextmanager
def trusting(port: int) -> Iterator[ssl.SSLSocket]:
    """A connection that asks for no certificate in particular."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), timeout=60) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        yield connection


class TLSTests(SocketCase):
    def setUp(self) -> None:
        super().setUp()
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.first = write_certificate(self.folder, 1)
        self.tls = free_port()
        service = listening(self.description(), self.house.site, reactor)
        service.startService()
        self.addCleanup(service.stopService)

    def description(self) -> str:
        files = f"privateKey={self.folder}/key.pem:certKey={self.folder}/cert.pem"
        return f"ssl:{self.tls}:interface=127.0.0.1:{files}"

    def ask(self, sent: bytes = GET) -> tuple[bytes, bytes]:
        """The server's certificate, and its answer."""
        with trusting(self.tls) as client:
            shown = client.getpeercert(binary_form=True)
            client.sendall(sent)
            got = b""
            while chunk := client.recv(65536):
                got += chunk
        return shown or b"", got

    async def test_served(self) -> None:
        shown, got = await deferToThread(self.ask)
        self.assertEqual(shown, self.first)
        code, headers, _ = split(got)
        self.assertEqual((code, headers["strict-transport-security"]), (200, "max-age=31536000"))
        _, got = await deferToThread(self.ask, b"nonsense\r\n\r\n")
        code, headers, _ = split(got)
        self.assertEqual((code, headers["strict-transport-security"]), (400, "max-age=31536000"))
        plain = await self.raw(GET)
        self.assertNotIn("strict-transport-security", split(plain)[1])

    async def test_kept_answers(self) -> None:
        """What is answered from memory (web/kept.py) has TLS's headers."""
        big = self.house.blobs.add([os.urandom(900_000)])
        self.house.tasks.made[UUID] = [an_artifact(big, "a")]
        asks = [
            b"GET %s HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n" % path
            for path in (b"/", b"/api/blob/a")
        ]

        def talk() -> list[list[tuple[int, dict[str, str], bytes]]]:
            with trusting(self.tls) as connection:
                client = Client(connection)
                return [[client.ask(ask) for ask in asks] for _ in range(3)]

        first, *others = await deferToThread(talk)
        self.assertEqual(self.house.meters.counts["requests,/,2xx"], 3)
        self.assertEqual(first[1][2], (self.house.blobs.directory / big.hash).read_bytes())
        for page, blob in (first, *others):
            for answer, same in ((page, first[0]), (blob, first[1])):
                self.assertEqual(answer[1]["strict-transport-security"], "max-age=31536000")
                for name in ("date", "x-request-id"):
                    answer[1][name] = ""
                self.assertEqual(answer, same)

    async def test_a_client_that_says_no_more(self) -> None:
        """``openssl s_client`` at the end of its input; TLS 1.3 has halves, before that they end together."""
        big = self.house.blobs.add([os.urandom(3_000_000)])
        self.house.tasks.made[UUID] = [an_artifact(big, "a")]
        content = (self.house.blobs.directory / big.hash).read_bytes()
        for path, first in ((b"/health/live", 0), (b"/api/blob/a", 10_000)):
            ask = b"GET %s HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n" % path
            got = await deferToThread(self.ask_and_close_half, ask + ask, first)
            body = content if path == b"/api/blob/a" else b'{"status":"ok"}'
            self.assertEqual((got.count(b"HTTP/1.1 200"), got.count(body), got[-len(body) :]), (2, 2, body))
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            self.assertEqual(await deferToThread(self.ask_and_close_half, b"", 0, version), b"")

    async def test_a_client_that_goes_on_after_it_said_no_more(self) -> None:
        """OpenSSL would keep what comes then, and nobody take it."""
        big = self.house.blobs.add([os.urandom(30_000_000)])
        self.house.tasks.made[UUID] = [an_artifact(big, "a")]
        ask = b"GET /api/blob/a HTTP/1.1\r\nHost: localhost\r\n\r\n"

        def talk() -> bool:
            with socket.create_connection(("127.0.0.1", self.tls), timeout=60) as plain:
                connection, _, out = self.shake_hands(plain, ssl.TLSVersion.TLSv1_3)
                connection.write(ask)
                self.assertRaises(ssl.SSLWantReadError, connection.unwrap)
                plain.sendall(out.read())
                with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                    for _ in range(2000):
                        plain.sendall(bytes(65536))
                    return False
                return True

        self.assertTrue(await deferToThread(talk), "it was closed before 130 MB had come")

    def ask_and_close_half(
        self, sent: bytes, first: int = 0, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
    ) -> bytes:
        """``first``: bytes that have come before."""
        with socket.create_connection(("127.0.0.1", self.tls), timeout=60) as plain:
            connection, coming, out = self.shake_hands(plain, version)
            if sent:
                connection.write(sent)
            plain.sendall(out.read())
            before = plain.recv(first, socket.MSG_WAITALL) if first else b""
            self.assertRaises(ssl.SSLWantReadError, connection.unwrap)
            plain.sendall(out.read())
            coming.write(before)
            while chunk := plain.recv(1 << 20):
                coming.write(chunk)
            coming.write_eof()
            got = b""
            with contextlib.suppress(ssl.SSLZeroReturnError):  # a whole end, not a torn one
                while True:
                    got += connection.read(1 << 20)
            return got

    @staticmethod
    def shake_hands(
        plain: socket.socket, version: ssl.TLSVersion
    ) -> tuple[ssl.SSLObject, ssl.MemoryBIO, ssl.MemoryBIO]:
        """Python's sockets close both halves."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.maximum_version = version
        coming, out = ssl.MemoryBIO(), ssl.MemoryBIO()
        connection = context.wrap_bio(coming, out, server_hostname="localhost")
        while True:
            try:
                connection.do_handshake()
            except ssl.SSLWantReadError:
                plain.sendall(out.read())
                coming.write(plain.recv(65536))
            else:
                plain.sendall(out.read())
                return connection, coming, out

    async def test_nothing_is_answered_after_the_last(self) -> None:
        """Also what would be answered from memory, to a client that does not close its side."""
        page = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
        last = b"GET /go/1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

        def talk() -> None:
            with trusting(self.tls) as connection:
                client = Client(connection)
                client.ask(page)
                client.ask(last)
                connection.sendall(page)

        await deferToThread(talk)
        await self.drained()
        self.assertEqual(self.house.meters.counts["requests,/go/,2xx"], 1)
        self.assertEqual(self.house.meters.counts["requests,/,2xx"], 1)

    async def test_renewed(self) -> None:
        second = write_certificate(self.folder, 2)
        self.assertEqual((await deferToThread(self.ask))[0], second)
        self.assertEqual((await deferToThread(self.ask))[0], second)

    async def test_renewed_badly(self) -> None:
        """A key without its certificate, no certificate, none that makes sense: the old pair goes on."""
        old = (self.folder / "cert.pem").read_bytes()
        write_certificate(self.folder, 2)
        new = (self.folder / "cert.pem").read_bytes()
        for content in (old, b"nonsense", None):
            if content is None:
                (self.folder / "cert.pem").unlink()
            else:
                (self.folder / "cert.pem").write_bytes(content)
            self.assertEqual((await deferToThread(self.ask))[0], self.first)
        (self.folder / "cert.pem").write_bytes(new)
        self.assertEqual((await deferToThread(self.ask))[0], ssl.PEM_cert_to_DER_cert(new.decode()))

    async def test_mended_without_a_new_date(self) -> None:
        """What could not be used is tried again when it is mended, as by chown or ``cp -p``."""
        certificate = self.folder / "cert.pem"
        write_certificate(self.folder, 2)
        new = certificate.read_bytes()
        certificate.write_bytes(new[::-1])
        self.assertEqual((await deferToThread(self.ask))[0], self.first)
        dates = certificate.stat()
        certificate.write_bytes(new)
        os.utime(certificate, ns=(dates.st_atime_ns, dates.st_mtime_ns))
        self.assertEqual((await deferToThread(self.ask))[0], ssl.PEM_cert_to_DER_cert(new.decode()))

    def test_unusable_at_start(self) -> None:
        (self.folder / "key.pem").unlink()
        self.assertRaises(ValueError, listening, self.description(), self.house.site, reactor)
        (self.folder / "key.pem").write_bytes(b"nonsense")
        self.assertRaises(ValueError, listening, self.description(), self.house.site, reactor)


class HandedOverTests(TLSTests):
    """All of it over a socket that somebody else has opened, as systemd hands it over."""

    listener: socket.socket | None = None

    def description(self) -> str:
        if self.listener is None:
            self.listener = socket.create_server(("127.0.0.1", self.tls))
            self.addCleanup(self.listener.close)
        self.patch(endpoints._SystemdParser, "_sddaemon", ListenFDs([os.dup(self.listener.fileno())]))
        files = f"privateKey={self.folder}/key.pem:certKey={self.folder}/cert.pem"
        return f"ssl-systemd:domain=INET:index=0:{files}"

    def test_none_came(self) -> None:
        description = self.description()
        self.patch(endpoints._SystemdParser, "_sddaemon", ListenFDs([]))
        self.assertRaises(LookupError, listening, description, self.house.site, reactor)

    def test_examined(self) -> None:
        """The certificate alone, for the socket comes with the start."""
        description = self.description()
        self.patch(endpoints._SystemdParser, "_sddaemon", ListenFDs([]))
        listen.examine(description, reactor)
        (self.folder / "key.pem").unlink()
        self.assertRaises(FileNotFoundError, listen.examine, description, reactor)


class FamilyTests(SynchronousTestCase):
    """What a description says of a socket of systemd's, against the socket."""

    def refused(self, domain: str, *, examined: bool) -> str:
        """The words."""
        base = Path(self.mktemp()).absolute()
        base.mkdir()
        write_certificate(base, 1)
        words = set()
        for kind, files in (
            ("systemd", ""),
            ("ssl-systemd", f":privateKey={base}/key.pem:certKey={base}/cert.pem"),
        ):
            for named in (f"domain={domain}:index=0", f"{domain}:0", f"index=0:domain={domain}"):
                description = f"{kind}:{named}{files}"
                with self.assertRaises(ValueError) as caught:
                    listening(description, Factory(), reactor)
                words.add(str(caught.exception))
                if examined:
                    with self.assertRaises(ValueError):
                        listen.examine(description, reactor)
        (said,) = words
        return said

    def test_no_family(self) -> None:
        for came in ([], [0]):
            self.patch(endpoints._SystemdParser, "_sddaemon", ListenFDs(came))
            self.assertEqual(
                self.refused("AF_INET", examined=True),
                "its domain is one of INET, INET6, UNIX, not 'AF_INET'",
            )

    def test_another_one(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.patch(endpoints._SystemdParser, "_sddaemon", ListenFDs([listener.fileno()]))
            for domain in ("INET6", "UNIX"):
                self.assertEqual(
                    self.refused(domain, examined=False),
                    f"the socket that systemd hands over is of INET, not of {domain}",
                )
            listening("systemd:INET:0", Factory(), reactor)
            self.assertEqual(listener.getsockname()[0], "127.0.0.1")  # still open


class PassingFaultTests(SynchronousTestCase):
    def test_no_file_can_be_opened(self) -> None:
        """What is renewed just then is read later, though its files look the same."""
        folder = Path(self.mktemp())
        folder.mkdir()
        write_certificate(folder, 1)
        description = f"ssl:0:privateKey={folder}/key.pem:certKey={folder}/cert.pem"
        clock = Clock()
        first = listen._read(description)
        renewed = listen._Renewed(description, first, clock)
        write_certificate(folder, 2)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        free = os.dup(0)
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
        self.assertIs(renewed.context(), first)
        clock.advance(AGAIN_S)
        self.assertIs(renewed.context(), first)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        clock.advance(AGAIN_S - 0.1)
        self.assertIs(renewed.context(), first)
        clock.advance(0.1)
        second = renewed.context()
        self.assertIsNot(second, first)
        clock.advance(AGAIN_S)
        self.assertIs(renewed.context(), second)
