"""Who may ask: this machine's browser, with the cookie that the printed address gives.

Other pages in the same browser, and other programs of other users on this machine, can reach a port as well. So every
request must name the exact host and port (no rebinding of names), and carry a cookie that is exchanged once for the
token in the printed address. Commands must also come from the page itself, as JSON and of a bounded size.
"""

from __future__ import annotations

import secrets

from starlette.datastructures import Headers, QueryParams
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from rot180.language import translate
from rot180.web.bodies import bounded
from rot180.web.connection import TIMEOUT
from rot180.web.guard import Cookie, is_foreign, is_same, with_headers

MAX_BODY = 1_000_000
"""The longest body of a request, in bytes: an image of 512 x 512 x 3 and its frame."""


class Guard:
    """Pass on the requests of the page itself, and refuse all others.

    Parameters
    ----------
    app : ASGI application
    host : str
        The host and port that every request must name, such as `127.0.0.1:8000`.
    timeout : float
        Seconds from the end of a request's headers to the end of its body.
    """

    def __init__(self, app: ASGIApp, host: str, timeout: float = TIMEOUT) -> None:
        self._app, self._host, self._timeout = app, host, timeout
        self._cookie = Cookie(int(host.rpartition(":")[2]), secrets.token_urlsafe(24))
        self._token: str | None = secrets.token_urlsafe(24)

    @property
    def address(self) -> str:
        """The address to open: its token is good for one visit."""
        return f"http://{self._host}/?token={self._token}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        answer: ASGIApp | None = self._refusal(scope, Headers(scope=scope))
        if answer is None:
            answer, receive = self._app, bounded(scope, receive, MAX_BODY, self._timeout)
        await answer(scope, receive, with_headers(send))

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """Return the answer to a request that is not passed on; None for one that is."""
        if headers.getlist("host") != [self._host]:
            return _refused(421, "the request names another host than the one that is served")
        if scope["path"] == "/" and scope["method"] == "GET":
            given = QueryParams(scope["query_string"]).get("token")
            if given is not None:
                return self._exchange(given)
        elif is_foreign(headers):
            return _refused(403, "the request comes from another page")
        if not self._cookie.is_in(headers):
            return _refused(403, "open the address that rot180 explore has printed; it is good for one browser")
        if scope["method"] == "POST":
            return self._refused_command(headers)
        return None

    def _exchange(self, given: str) -> Response:
        """Exchange the token for the cookie, once."""
        if self._token is None or not is_same(given, self._token):
            return _refused(403, "this address has been used or is wrong; start rot180 explore again for a new one")
        self._token = None
        return self._cookie.hand_out()

    def _refused_command(self, headers: Headers) -> Response | None:
        if headers.get("origin") != f"http://{self._host}" or is_foreign(headers):
            return _refused(403, "commands are taken from the page itself only")
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return _refused(415, "commands are JSON")
        return None


def _refused(status: int, reason: str) -> Response:
    return PlainTextResponse(f"rot180 explore: {translate(reason)}\n", status_code=status)
