# SPDX-License-Identifier: Apache-2.0
"""The plain addresses: ``public/``, ``/go/…``, robots.txt, and what is not there."""

from __future__ import annotations

from twisted.web.resource import Resource
from twisted.web.server import Request

from stackviz_deployer.errors import NotFoundError, StackvizError
from stackviz_deployer.web.errors import fail, fail_page, write_error
from stackviz_deployer.web.kept import share
from stackviz_deployer.web.static import StaticFile, StaticTree

TEXT = b"text/plain; charset=utf-8"


def refuse_method(request: Request, allowed: bytes) -> bytes:
    """405 for an address that people open in a browser."""
    request.setHeader(b"Allow", allowed)
    return write_error(request, 405, TEXT, b"this address takes " + allowed + b"\n")


class FilePage(Resource):
    """One file, whatever follows in the path; 404 when it is None."""

    isLeaf = True

    def __init__(self, file: StaticFile | None, *, shared: bool = True) -> None:
        """``shared``: see kept.share."""
        super().__init__()
        self._file = file
        self._shared = shared

    def render(self, request: Request) -> bytes:
        if request.method not in (b"GET", b"HEAD"):
            return refuse_method(request, b"GET, HEAD")
        if self._file is None:
            return fail_page(
                request, NotFoundError("there is nothing at this address; the look-up page is at /")
            )
        body = self._file.answer(request)
        if self._shared:
            share(request, body)
        return body


class ErrorPage(Resource):
    """An error as the API says it, for addresses that belong to it but lead nowhere; or for people."""

    isLeaf = True

    def __init__(self, error: StackvizError, *, for_people: bool = False) -> None:
        super().__init__()
        self._error = error
        self._for_people = for_people

    def render(self, request: Request) -> bytes:
        return (fail_page if self._for_people else fail)(request, self._error)


def public_page(tree: StaticTree, segments: list[bytes]) -> FilePage:
    """The page for a path, given as decoded segments; ``index.html`` for the root alone."""
    if segments in ([], [b""]):
        return FilePage(tree.get("index.html"))
    if segments == [b"favicon.ico"]:
        return FilePage(tree.get("favicon.svg"))
    if any(b"/" in segment for segment in segments):
        return FilePage(None)
    return FilePage(tree.get(b"/".join(segments).decode("utf-8", "surrogateescape")))
