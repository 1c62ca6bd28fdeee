"""A model hub on this machine: what it is given by path, and repositories that its own package writes to."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from rot180.data import download, named
from rot180.interop import hub

REVISION, OLDER = "a" * 40, "b" * 40


class Server(ThreadingHTTPServer):
    """Gives files by path, and remembers what was asked for.

    `tokens` may write, and read what is private. Large files are kept at another address, `elsewhere`, to which
    requests for them are redirected.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.tells_length = True
        self.tokens: set[str] = set()
        self.private: dict[str, bool] = {}
        self.branches: dict[str, dict[str, dict[str, bytes]]] = {}
        self.objects: dict[str, bytes] = {}
        self.given: list[tuple[str, str | None]] = []
        self.refuses: dict[str, int] = {}

    @property
    def home(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def elsewhere(self) -> str:
        return f"http://localhost:{self.server_port}"

    def put_repository(
        self, name: str, files: dict[str, bytes], revision: str = REVISION, branch: str = "main", **more: object
    ) -> None:
        """Offer a repository as a hub does: large files are elsewhere, and known by their SHA-256."""
        siblings = []
        for file, content in files.items():
            entry: dict[str, object] = {"rfilename": file, "size": len(content)}
            if file.endswith((".safetensors", ".bin")):
                entry["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
            entry["blobId"] = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            siblings.append(entry)
            self.files[f"/{name}/resolve/{revision}/{file}"] = content
        answer = {"sha": revision, "siblings": siblings, **more}
        for asked in (branch, revision):
            self.files[f"/api/models/{name}/revision/{asked}?blobs=true"] = json.dumps(answer).encode()

    def commit(self, name: str, branch: str, lines: list[dict[str, Any]]) -> dict[str, object]:
        """Take the files of a commit into a branch."""
        files = dict(self.branches[name].get(branch, {}))
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.objects[value["oid"]]
        self.branches[name][branch] = files
        revision = hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()
        license_ = re.search(rb'^license: "(.*)"$', files["README.md"], re.MULTILINE)
        card = {"license": license_[1].decode()} if license_ else {}
        self.put_repository(name, files, revision, branch, cardData=card)
        address = f"{self.home}/{name}/commit/{revision}"
        return {"success": True, "commitOid": revision, "commitUrl": address, "hookOutput": ""}


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""

    def _token(self) -> str | None:
        said = self.headers.get("Authorization")
        self.server.given.append((f"http://{self.headers['Host']}{self.path}", said))
        return said.removeprefix("Bearer ") if said else None

    def do_GET(self) -> None:
        server, token = self.server, self._token()
        server.asked.append(self.path)
        name = "/".join(self.path.removeprefix("/api/models").split("/")[1:3])
        is_hidden = server.private.get(name, False) and token not in server.tokens
        if self.path == f"/api/models/{name}" and name in server.branches and not is_hidden:
            return self._answer({"id": name, "private": server.private[name], "siblings": [], "tags": []})
        content = server.files.get(self.path)
        if content is not None and is_hidden and f"http://{self.headers['Host']}" == server.home:
            content = None
        is_large = self.path.endswith(".safetensors") and name in server.branches
        if content is not None and is_large and f"http://{self.headers['Host']}" == server.home:
            self.send_response(302)
            self.send_header("Location", server.elsewhere + self.path)
            self.send_header("Content-Length", "0")
            return self.end_headers()
        self.send_response(404 if content is None else 200)
        if content is None and self.path.startswith("/api/"):
            self.send_header("X-Error-Code", "RepoNotFound")
        if server.tells_length:
            self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        self.wfile.write(content or b"")
        return None

    def do_POST(self) -> None:
        server, token = self.server, self._token()
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        for part, status in server.refuses.items():
            if part in self.path:
                return self._answer({"error": f"refused, says the hub about {token}"}, status)
        if token not in server.tokens:
            return self._answer({"error": "Invalid username or password."}, 401)
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            server.branches[name] = {"main": {}}
            server.private[name] = asked.get("visibility") == "private" or asked.get("private", False)
            return self._answer({"url": f"{server.home}/{name}", "id": "1", "name": name})
        if self.path == "/api/validate-yaml":
            return self._answer({"errors": [], "warnings": []})
        name = "/".join(self.path.removeprefix("/api/models").removesuffix(".git").split("/")[1:3]).removesuffix(".git")
        what, _, branch = self.path.partition(f"{name}/")[2].partition("/")
        if what == "preupload":
            paths = [file["path"] for file in json.loads(body)["files"]]
            modes = ["lfs" if path.endswith(".safetensors") else "regular" for path in paths]
            files = [
                {"path": path, "uploadMode": mode, "shouldIgnore": False}
                for path, mode in zip(paths, modes, strict=True)
            ]
            return self._answer({"files": files})
        if what == "branch":
            server.branches[name][branch] = dict(server.branches[name]["main"])
            return self._answer({})
        if what == "commit" and branch not in server.branches[name]:
            return self._answer({"error": f"there is no branch {branch}"}, 404)
        if what == "commit":
            lines = [json.loads(line) for line in body.splitlines()]
            return self._answer(server.commit(name, branch, lines))
        if self.path.endswith("/info/lfs/objects/batch"):
            objects = [
                {**each, "actions": {"upload": {"href": f"{server.home}/put/{each['oid']}", "header": {}}}}
                for each in json.loads(body)["objects"]
            ]
            return self._answer({"transfer": "basic", "objects": objects})
        return self._answer({"error": self.path}, 404)

    def do_PUT(self) -> None:
        self._token()
        content = self.rfile.read(int(self.headers["Content-Length"]))
        oid = self.path.rpartition("/")[2]
        if hashlib.sha256(content).hexdigest() != oid:
            return self._answer({"error": "another file"}, 400)
        self.server.objects[oid] = content
        return self._answer({})

    def _answer(self, values: dict[str, object], status: int = 200) -> None:
        content = json.dumps(values).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def running(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[Server]:
    """Run a server that is the hub, with an empty cache, in a new folder."""
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    server = Server()
    monkeypatch.setenv(named.CACHE, str(folder / "cache"))
    monkeypatch.setenv(hub.ENDPOINT, server.home)
    monkeypatch.setattr(download, "ATTEMPTS", 1)
    (folder / "here").mkdir()
    monkeypatch.chdir(folder / "here")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()
