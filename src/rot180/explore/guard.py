"""Who may ask: this machine's browser, with the cookie that the printed address gives.

Other pages in the same browser, and other programs of other users on this machine, can reach a port as well. So every
request must name the exact host and port (no rebinding of names), and carry a cookie that is exchanged once for the
token in the printed address. Commands must also come from the page itself, as JSON and of a bounded size.
"""

from __future__ import annotations

import hmac
import secrets
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rot180.language import translate

MAX_BODY = 1_000_000
"""The longest body of a request, in bytes: an image of 512 x 512 x 3 and its frame."""

HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
"""Sent with every answer."""


class Guard:
    """Pass on the requests of the page itself, and refuse all others.

    Parameters
    ----------
    app : ASGI application
    host : str
        The host and port that every request must name, such as `127.0.0.1:8000`.
    """

    def __init__(self, app: ASGIApp, host: str) -> None:
        self._app, self._host = app, host
        self.cookie = f"rot180-{host.rpartition(':')[2]}"  # a browser sends the cookies of all ports of a host
        self._token: str | None = secrets.token_urlsafe(24)
        self._secret = secrets.token_urlsafe(24)

    @property
    def address(self) -> str:
        """The address to open: its token is good for one visit."""
        return f"http://{self._host}/?token={self._token}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    added[name] = value
                added.setdefault("cache-control", "no-store")
            await send(message)

        answer = self._refusal(scope, headers)
        if answer is not None:
            await answer(scope, receive, send_guarded)
            return
        await self._app(scope, _bounded(receive) if scope["method"] == "POST" else receive, send_guarded)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """Return the answer to a request that is not passed on; None for one that is."""
        if headers.getlist("host") != [self._host]:
            return _refused(421, "the request names another host than the one that is served")
        site = headers.get("sec-fetch-site", "none")
        if scope["path"] == "/" and scope["method"] == "GET":
            given = parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=4).get("token")
            if given is not None:
                return self._exchange(given[0])
        elif site not in ("same-origin", "none"):
            return _refused(403, "the request comes from another page")
        if not self._has_cookie(headers):
            return _refused(403, "open the address that rot180 explore has printed; it is good for one browser")
        if scope["method"] == "POST":
            return self._refused_command(headers, site)
        return None

    def _exchange(self, given: str) -> Response:
        """Exchange the token for the cookie, once."""
        if self._token is None or not hmac.compare_digest(given.encode(), self._token.encode()):
            return _refused(403, "this address has been used or is wrong; start rot180 explore again for a new one")
        self._token = None
        answer = RedirectResponse("/", status_code=303)
        answer.set_cookie(self.cookie, self._secret, httponly=True, samesite="strict", path="/")
        return answer

    def _has_cookie(self, headers: Headers) -> bool:
        try:
            found = SimpleCookie(headers.get("cookie", "")).get(self.cookie)
        except CookieError:
            return False
        return found is not None and hmac.compare_digest(found.value.encode(), self._secret.encode())

    def _refused_command(self, headers: Headers, site: str) -> Response | None:
        if headers.get("origin") != f"http://{self._host}" or site not in ("same-origin", "none"):
            return _refused(403, "commands are taken from the page itself only")
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return _refused(415, "commands are JSON")
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()) or int(length[:12]) > MAX_BODY:
            return _refused(413, f"a command has at most {MAX_BODY:,} bytes")
        return None


class BodyTooLarge(Exception):
    """A body went on after the bytes that it may have."""


def _bounded(receive: Receive) -> Receive:
    """Return the same messages, but no body that is longer than it may be, whatever its header says."""
    taken = 0

    async def bounded() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > MAX_BODY:
            raise BodyTooLarge
        return message

    return bounded


def _refused(status: int, reason: str) -> Response:
    return PlainTextResponse(f"rot180 explore: {translate(reason)}\n", status_code=status)
