"""Who may ask: this machine's programs, or whoever has the token; never another site's page.

Without a token only this machine can reach the server, and a request must name it, so that no other name can be made
to stand for its address. With a token, every request carries it, `Authorization: Bearer TOKEN`, but for those that ask
whether the server is alive; a browser exchanges it for a cookie, `/?token=TOKEN`.
"""

from __future__ import annotations

import hashlib
import hmac
import traceback
from time import perf_counter

from starlette.datastructures import Headers, QueryParams
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rot180.serve.log import log
from rot180.serve.metrics import Metrics
from rot180.serve.settings import Settings
from rot180.web.bodies import bounded
from rot180.web.guard import Cookie, is_foreign, is_same, with_headers
from rot180.web.refusals import accepted_language, refusal

OPEN = ("/v2/health/live", "/v2/health/ready")
"""What is answered without a token."""

ROUTE = "rot180.route"
"""Where a request's handler notes what it is for, in its scope."""


class Guard:
    """Passes on the requests of those who may ask; counts and logs all of them.

    Parameters
    ----------
    app : ASGI application
    metrics : Metrics
    settings : Settings
    port : int
        Where the server listens.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, settings: Settings, port: int) -> None:
        self._app, self._metrics, self._settings = app, metrics, settings
        self._token, host = settings.token, settings.host
        place = f"[{host}]" if ":" in host else host
        self._hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]", place.lower())}
        # The same in all workers, and after the server was started again.
        secret = hmac.new((self._token or "").encode(), b"rot180 serve: cookie", hashlib.sha256).hexdigest()
        self._cookie = Cookie(port, secret)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        began, status = perf_counter(), 0

        async def send_noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        send_guarded = with_headers(send_noting)
        headers = Headers(scope=scope)
        try:
            answer: ASGIApp | None = self._refusal(scope, headers)
            if answer is None:
                answer = self._app
                receive = bounded(scope, receive, self._settings.most_bytes, self._settings.timeout)
            await answer(scope, receive, send_guarded)
        except Exception as error:
            log("error", path=scope["path"], error=type(error).__name__, traceback=traceback.format_exc())
            if not status:
                reason = "internal error; the server's log has the details"
                await refusal(500, reason, accepted_language(headers))(scope, receive, send_guarded)
        finally:
            seconds = perf_counter() - began
            route = scope.get(ROUTE, "other")
            self._metrics.answered(route, status or 500, seconds)
            client = scope.get("client")
            log(
                "request",
                method=scope["method"],
                path=scope["path"][:200],
                status=status,
                ms=round(1000 * seconds, 3),
                client=client[0] if client else None,
            )

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """Return the answer to a request that is not passed on; None for one that is."""
        into = accepted_language(headers)
        if self._token is None and headers.get("host", "").lower() not in self._hosts:
            reason = f"the header Host must name this machine, as {min(self._hosts)} does; other names need --token"
            return refusal(421, reason, into)
        is_visit = scope["path"] == "/" and scope["method"] in ("GET", "HEAD")
        if not is_visit and (is_foreign(headers) or not self._is_own(headers)):
            return refusal(
                403, "the request comes from another site's page; only this server's page and programs may ask", into
            )
        if self._token is None or scope["path"] in OPEN:
            return None
        if is_visit:
            given = QueryParams(scope["query_string"]).get("token")
            if given is not None and is_same(given, self._token):
                return self._cookie.hand_out()
        kind, _, given_token = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and is_same(given_token.strip(), self._token):
            return None
        if self._cookie.is_in(headers):
            return None
        reason = "send the token: the header Authorization: Bearer TOKEN, or /?token=TOKEN in a browser"
        return refusal(401, reason, into, {"www-authenticate": "Bearer"})

    def _is_own(self, headers: Headers) -> bool:
        """Return whether a request comes from the page that is served, or from no page."""
        origin = headers.get("origin")
        return origin is None or origin.partition("://")[2].lower() == headers.get("host", "").lower()
