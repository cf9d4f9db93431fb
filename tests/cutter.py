# SPDX-License-Identifier: Apache-2.0
"""What cuts connections to a database server when they COMMIT."""

import contextlib
import socket
import threading

COMMIT = b"\x07\x00\x00\x00\x03COMMIT"
"""As it stands on the wire: seven bytes, the first packet of a question."""


class Cutter:
    """On the way to a server.  Each COMMIT takes a word of ``plan``; without one it goes through."""

    def __init__(self, port: int) -> None:
        self.plan: list[str] = []
        self.target = port
        self._mute: set[socket.socket] = set()
        self.kept: list[socket.socket] = []
        """Connections that the server still has, although their client's end is gone."""
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                far = socket.create_connection(("127.0.0.1", self.target))
                for work in (self._ask, self._answer):
                    threading.Thread(target=work, args=(near, far), daemon=True).start()

    def _ask(self, near: socket.socket, far: socket.socket) -> None:
        word = "through"
        with contextlib.suppress(OSError):
            while data := near.recv(65536):
                word = self.plan.pop(0) if data == COMMIT and self.plan else "through"
                if word in ("before", "unheard"):
                    break
                if word == "behind":
                    self._mute.add(near)
                far.sendall(data)
        if word == "unheard":
            self.kept.append(far)
            self._mute.add(near)
        with contextlib.suppress(OSError):
            (near if word == "unheard" else far).shutdown(socket.SHUT_RDWR)

    def _answer(self, near: socket.socket, far: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while (data := far.recv(65536)) and near not in self._mute:
                near.sendall(data)
        with contextlib.suppress(OSError):
            near.shutdown(socket.SHUT_RDWR)

    def stop(self) -> None:
        for one in (self.listener, *self.kept):
            one.close()
