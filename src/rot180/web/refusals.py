"""Requests that are refused: one line that says why, in the language that is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from rot180.language import LANGUAGES, translate


def refusal(status: int, reason: str, into: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return the answer that gives the reason in a language."""
    return JSONResponse({"error": translate(reason, into)}, status, headers)


async def explain_status(request: Request, error: Exception) -> Response:
    """Answer what Starlette, or a handler, refuses with a status."""
    if not isinstance(error, HTTPException):
        raise error
    status, reason = error.status_code, error.detail
    if reason == HTTPStatus(status).phrase:  # Starlette's
        path = request.scope["path"][:100]
        if status == 404:
            reason = f"there is nothing at {path}"
        elif status == 405:
            allowed = " or ".join(sorted((error.headers or {})["Allow"].split(", ")))
            reason = f"{path} does not take {request.method} requests; use {allowed}"
    return refusal(status, reason, wanted_language(request), error.headers)


def wanted_language(request: Request) -> str:
    """Return the language that a request asks for, in its address or as browsers do."""
    wanted = request.query_params.get("language")
    return wanted if wanted in LANGUAGES else accepted_language(request.headers)


def accepted_language(headers: Headers) -> str:
    """Return the language that a browser asks for, if the program speaks it."""
    wanted = headers.get("accept-language", "")[:2].lower()
    return wanted if wanted in LANGUAGES else "en"
