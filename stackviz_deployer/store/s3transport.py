# SPDX-License-Identifier: Apache-2.0
"""HTTP for botocore, whose calls can be cut off from outside.

botocore has a time limit for each read alone: a server that sends a byte now and then holds a
thread for ever.  Here every connection that a call uses is known to it, and ``Call.cut``
shuts them down, whatever the thread waits for.  botocore's "before-send" event is where its
callers put a transport of their own.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import urllib3
from botocore import exceptions
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
    SSLError,
)

CONNECT_S = 5.0
READ_S = 20.0
"""Between two pieces of an answer."""


class CutError(Exception):
    """The call was cut off: its time is over, or nobody waits for it."""


class Call:
    """One blocking call, in a thread; ``cut`` is for any other."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self.is_cut = False

    def cut(self) -> None:
        """End it: whatever it waits for fails, and it begins nothing more."""
        with self._lock:
            self.is_cut = True
            for one in self._sockets:
                with suppress(OSError):
                    # An SSLSocket's own would take its TLS away under the reading thread.
                    socket.socket.shutdown(one, socket.SHUT_RDWR)

    def uses(self, one: socket.socket) -> None:
        """A connection of it.  Raises CutError."""
        with self._lock:
            self._sockets.append(one)
        self.check()

    def check(self) -> None:
        """Raises CutError."""
        if self.is_cut:
            raise CutError("cut off")

    @contextmanager
    def current(self) -> Iterator[None]:
        """In this thread, what is sent is sent for this call.  Raises CutError."""
        self.check()
        _CURRENT.call = self
        try:
            yield
        finally:
            _CURRENT.call = None
            with self._lock:
                self._sockets.clear()


_CURRENT = threading.local()


def _used(one: Any) -> None:
    call = getattr(_CURRENT, "call", None)
    if call is not None and one is not None:
        call.uses(one)


class _Watched:
    """A connection that tells its call of its socket, when it is made and when it is used again."""

    sock: Any

    def _new_conn(self) -> socket.socket:
        made: socket.socket = super()._new_conn()  # type: ignore[misc]  # of the class beside this one
        _used(made)
        return made

    def request(self, *args: Any, **kw: Any) -> None:
        _used(self.sock)
        super().request(*args, **kw)  # type: ignore[misc]  # likewise

    def getresponse(self) -> Any:
        _used(self.sock)
        return super().getresponse()  # type: ignore[misc]  # likewise


class _Plain(_Watched, HTTPConnection):
    pass


class _Secure(_Watched, HTTPSConnection):
    pass


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _Secure


class Transport:
    """What botocore's "before-send" calls; see the module."""

    def __init__(self, connections: int, ca_file: Path | None) -> None:
        """Raises OSError (ssl.SSLError among them) when ``ca_file`` cannot be used."""
        self._pools = urllib3.PoolManager(
            num_pools=4,
            maxsize=connections,
            timeout=urllib3.Timeout(connect=CONNECT_S, read=READ_S),
            ssl_context=ssl.create_default_context(cafile=None if ca_file is None else str(ca_file)),
        )
        self._pools.pool_classes_by_scheme = {"http": _PlainPool, "https": _SecurePool}

    def send(self, request: AWSPreparedRequest, **_: object) -> AWSResponse:
        """Raises CutError, and botocore's HTTPClientErrors, some of which it tries again."""
        call = getattr(_CURRENT, "call", None)
        if call is not None:
            call.check()
        url = request.url
        # not signed, and not waited for by urllib3
        headers = {name: _text(value) for name, value in request.headers.items() if name.lower() != "expect"}
        try:
            raw = self._pools.urlopen(
                request.method,
                url,
                body=request.body,
                headers=headers,
                retries=False,
                redirect=False,
                assert_same_host=False,
                preload_content=False,
                decode_content=False,
            )
            response = AWSResponse(url, raw.status, raw.headers, raw)
            if not request.stream_output:
                response.content  # noqa: B018 - reads all of it, so that the connection is free again
        except SSLError as error:
            raise exceptions.SSLError(endpoint_url=url, error=error) from error
        except ConnectTimeoutError as error:
            if isinstance(error, NewConnectionError):
                raise exceptions.EndpointConnectionError(endpoint_url=url, error=error) from error
            raise exceptions.ConnectTimeoutError(endpoint_url=url, error=error) from error
        except NewConnectionError as error:
            raise exceptions.EndpointConnectionError(endpoint_url=url, error=error) from error
        except ReadTimeoutError as error:
            raise exceptions.ReadTimeoutError(endpoint_url=url, error=error) from error
        except ProtocolError as error:
            raise exceptions.ConnectionClosedError(endpoint_url=url, error=error) from error
        except (HTTPError, OSError) as error:
            raise exceptions.HTTPClientError(error=error) from error
        return response

    def close(self) -> None:
        """Close what is idle."""
        self._pools.clear()


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
