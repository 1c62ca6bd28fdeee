"""Who may ask: foreign pages are refused, and a token is exchanged for a cookie.

Any page in a browser, and any program on a machine, can send requests to its ports. Browsers say from where a request
comes (`Sec-Fetch-Site`, `Origin`), and which host it is meant for.
"""

from __future__ import annotations

import hmac
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse, Response
from starlette.types import Message, Send

HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
"""Sent with every answer."""


def with_headers(send: Send) -> Send:
    """Return the same channel, on which every answer has `HEADERS` and is kept nowhere unless it says so."""

    async def send_guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            added = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                added[name] = value
            added.setdefault("cache-control", "no-store")
        await send(message)

    return send_guarded


def is_foreign(headers: Headers) -> bool:
    """Return whether a browser says that another page sends this request.

    >>> is_foreign(Headers({"sec-fetch-site": "cross-site"})), is_foreign(Headers({}))
    (True, False)
    """
    return headers.get("sec-fetch-site", "none") not in ("same-origin", "none")


def is_same(given: str, secret: str) -> bool:
    """Return whether two texts are equal, in a time that does not tell how much of them is."""
    return hmac.compare_digest(given.encode(), secret.encode())


class Cookie:
    """A cookie that only this server's pages send.

    Parameters
    ----------
    port : int
        A browser sends the cookies of all ports of a host.
    secret : str
    """

    def __init__(self, port: int, secret: str) -> None:
        self.name, self._secret = f"rot180-{port}", secret

    def is_in(self, headers: Headers) -> bool:
        """Return whether a request has it."""
        try:
            found = SimpleCookie(headers.get("cookie", "")).get(self.name)
        except CookieError:
            return False
        return found is not None and is_same(found.value, self._secret)

    def hand_out(self) -> Response:
        """Return the answer that sets it, and leads to the page without the token in its address."""
        answer = RedirectResponse("/", status_code=303)
        answer.set_cookie(self.name, self._secret, httponly=True, samesite="strict", path="/")
        return answer
