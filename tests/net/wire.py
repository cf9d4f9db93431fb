# SPDX-License-Identifier: Apache-2.0
"""A server whose every byte a test decides, plain or with TLS, and certificates for it."""

import contextlib
import datetime as dt
import ipaddress
from collections.abc import Callable
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from twisted.internet import reactor as _reactor
from twisted.internet import ssl
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.protocol import Factory, Protocol

reactor: Any = _reactor


class Wire(Protocol):
    """One connection; calls the factory's script with each request's head."""

    def __init__(self) -> None:
        self.lost: Deferred[None] = Deferred()
        self.buffer = b""

    def connectionMade(self) -> None:
        self.factory.connections.append(self)

    def dataReceived(self, data: bytes) -> None:
        self.buffer += data
        while b"\r\n\r\n" in self.buffer:
            head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
            self.factory.requests.append(head)
            self.factory.script(self, head)

    def send(self, *pieces: bytes) -> None:
        self.transport.write(b"".join(pieces))

    def answer(self, body: bytes, *headers: bytes, status: bytes = b"200 OK") -> None:
        lines = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *headers]
        self.send(b"\r\n".join(lines), b"\r\n\r\n", body)

    def connectionLost(self, reason: Any = None) -> None:
        if not self.lost.called:
            self.lost.callback(None)


class WireFactory(Factory):
    noisy = False
    protocol = Wire

    def __init__(self, script: Callable[[Wire, bytes], None]) -> None:
        self.script = script
        self.requests: list[bytes] = []
        self.connections: list[Wire] = []
        self.port: Any = None

    def listen(self, *, tls: Any = None, interface: str = "127.0.0.1") -> int:
        if tls is None:
            self.port = reactor.listenTCP(0, self, interface=interface)
        else:
            self.port = reactor.listenSSL(0, self, tls, interface=interface)
        return int(self.port.getHost().port)

    async def close(self) -> None:
        for wire in self.connections:
            if not wire.lost.called:
                with contextlib.suppress(AttributeError):  # TLS that is closing already
                    wire.transport.abortConnection()
        await maybeDeferred(self.port.stopListening)


def certificates(*names: str) -> tuple[Any, Any]:
    """A trust root, and the server's side of a certificate for ``names`` that it has signed."""
    root, leaf = signed(*names)
    trust = ssl.trustRootFromCertificates([ssl.Certificate.loadPEM(root)])
    return trust, ssl.PrivateCertificate.loadPEM(leaf).options()


def signed(*names: str, authority: str = "test root") -> tuple[bytes, bytes]:
    """As PEM: an authority, and a certificate for ``names`` that it has signed, with its key."""
    now = dt.datetime.now(dt.UTC)

    def build(subject: str, issuer: str, key: Any) -> x509.CertificateBuilder:
        def name(text: str) -> x509.Name:
            return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

        return (
            x509.CertificateBuilder()
            .subject_name(name(subject))
            .issuer_name(name(issuer))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
        )

    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = (
        build(authority, authority, root_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(root_key, hashes.SHA256())
    )
    alternatives: list[x509.GeneralName] = []
    for name in names:
        try:
            alternatives.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            alternatives.append(x509.DNSName(name))
    leaf = (
        build(names[0], authority, key)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .sign(root_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return root.public_bytes(pem), leaf.public_bytes(pem) + private
