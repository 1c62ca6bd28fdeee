"""Weights from repositories of a model hub, `owner/name`, over plain HTTPS.

The hub first tells the newest revision, and the size and checksum of each file; what is then downloaded is compared
with that, and kept in the cache folder by revision. A token is sent only if the caller gives one.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from rot180.data.download import RemoteFile, download, read_url
from rot180.data.named import cache_folder
from rot180.data.options import Progress, _silent
from rot180.errors import DataError, ModelError
from rot180.files import make_folder, read_bounded, write_atomically

HUB = "https://huggingface.co"

ENDPOINT = "HF_ENDPOINT"
"""Environment variable with the address of another hub, or of a mirror."""

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""The names of files of weights; the first that a repository has is taken."""

MAX_ANSWER = 4 * 1024**2
"""The most bytes of a hub's answer about a repository, and of a `config.json`."""

SMALL = ("config.json", "README.md")
"""What is kept beside the weights."""

MAX_SIZE = 2 * 1024**3
"""The largest file of weights that is downloaded."""

NOTE = "repository.json"
"""The file in which the license is noted, for use without a network."""


@dataclass(frozen=True)
class HubFile:
    """A file of weights from a hub.

    Attributes
    ----------
    path : Path
        In the cache, beside the repository's `config.json`.
    repository : str
        `owner/name@revision`, with the whole revision.
    license : str or None
        As the repository states it.
    note : str or None
        Why another revision than the newest was taken.
    """

    path: Path
    repository: str
    license: str | None
    note: str | None = None


def is_repository(text: str) -> bool:
    """Return whether a text that is no path of a file has the form of a repository: `owner/name` or `...@revision`.

    A text whose first part is a folder here is a path, and so is one that ends like a file of weights.

    >>> is_repository("timm/resnet18.a1_in1k"), is_repository("weights/resnet18.pth"), is_repository("resnet18")
    (True, False, False)
    """
    match = re.fullmatch(r"([A-Za-z0-9][\w.-]{0,95})/([A-Za-z0-9][\w.-]{0,95})(@[\w.-]{1,100})?", text, re.ASCII)
    ends = (".pth", ".pt", ".bin", ".safetensors", ".onnx", ".h5", ".hdf5", ".keras")
    return match is not None and not text.lower().endswith(ends) and not Path(match[1]).is_dir()


def fetch_repository(text: str, progress: Progress = _silent, token: str | None = None) -> HubFile:
    """Return the weights of a repository, downloading them if they are not in the cache.

    Without a network, the newest revision in the cache is used. Private repositories need a token.

    Raises
    ------
    ModelError
        There is no such repository or revision, it has no weights that can be read, or the network fails.
    """
    name, _, revision = text.partition("@")
    folder = cache_folder() / "hub" / name
    if re.fullmatch("[0-9a-f]{40}", revision) and (found := _cached(folder / revision, name)) is not None:
        return found
    try:
        answer = _described(name, revision or "main", token)
    except DataError as error:
        kept = [] if revision else sorted(folder.glob("*"), key=lambda path: path.stat().st_mtime, reverse=True)
        for place in kept:
            if (found := _cached(place, name, f"{error}; the newest revision in the cache is used")) is not None:
                return found
        raise _failure(text, name, error) from None
    try:
        return _fetched(text, folder, name, answer, progress, token)
    except DataError as error:
        raise _failure(text, name, error) from None
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ModelError(f"{text}: the hub's answer cannot be read ({str(error)[:60]}); try again later") from None


def _failure(text: str, name: str, error: DataError) -> ModelError:
    """Return the error that says why there are no weights, and what to do."""
    if re.search(r"answered 40[134]\b", str(error)):
        return ModelError(
            f"{text}: there is no such file, and no public repository of this name and revision on a hub ({error}); "
            f"check the name, or download model.safetensors and config.json into one folder and give the path"
        )
    return ModelError(
        f"{text}: cannot be downloaded ({error}); without a network, copy model.safetensors and config.json from "
        f"{hub_address()}/{name} into one folder and give the path of the former"
    )


def hub_address() -> str:
    """Return the address of the hub.

    Raises
    ------
    ModelError
        HF_ENDPOINT is no address.
    """
    address = (os.environ.get(ENDPOINT) or HUB).rstrip("/")
    if not re.match(r"https?://[^/]", address):
        raise ModelError(f"{ENDPOINT} must be an address that begins with https://; it is {address[:100]!r}")
    return address


def hub_token() -> str | None:
    """Return the user's token for the hub, as its own package finds it; without that, from HF_TOKEN.

    Raises
    ------
    ModelError
        The hub's address is unencrypted and not on this machine, so that others could read the token.
    """
    try:
        from huggingface_hub import get_token
    except ImportError:
        token = os.environ.get("HF_TOKEN", "").strip() or None
    else:
        token = get_token()
    if token is not None and not re.fullmatch(r"[\x21-\x7e]{1,1000}", token):  # a header that a message would show
        raise ModelError("the token for the hub has characters that no token has; log in again with: hf auth login")
    address = urlsplit(hub_address())
    if token and address.scheme != "https" and address.hostname not in ("127.0.0.1", "localhost", "::1"):
        raise ModelError(
            f"{ENDPOINT} is {hub_address()}: a token is not sent unencrypted; give an address that begins with https://"
        )
    return token


def _described(name: str, revision: str, token: str | None) -> dict[str, Any]:
    """Return what the hub tells about a repository."""
    address = f"{hub_address()}/api/models/{name}/revision/{quote(revision, safe='')}?blobs=true"
    content = read_url(address, MAX_ANSWER, token=token)
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise DataError(f"the server {urlsplit(hub_address()).netloc} answered no JSON object")
    return answer


def _fetched(
    text: str, folder: Path, name: str, answer: dict[str, Any], progress: Progress, token: str | None
) -> HubFile:
    """Return the weights of the revision that the hub told of."""
    revision = str(answer["sha"])
    if not re.fullmatch("[0-9a-f]{40}", revision):
        raise ValueError("sha")
    files = {str(entry["rfilename"]): entry for entry in answer["siblings"]}
    chosen = next((each for each in WEIGHTS if each in files), None)
    if chosen is None:
        has = ", ".join(sorted(files)[:8])[:200] or "none"
        raise ModelError(f"{text}: the repository must have {' or '.join(WEIGHTS)}; its files: {has}")
    place, address = folder / revision, f"{hub_address()}/{name}/resolve/{revision}"
    make_folder(place)
    for small in SMALL:
        if small in files and "lfs" not in files[small]:
            _fetch_small(f"{address}/{small}", place / small, files[small], token)
    entry = files[chosen]
    stored = entry.get("lfs")
    size = int(entry["size"] if stored is None else stored["size"])
    if not 0 < size <= MAX_SIZE:
        raise ModelError(f"{text}: {chosen} has {size:,} bytes; at most {MAX_SIZE:,} are downloaded")
    if stored is None:
        _fetch_small(f"{address}/{chosen}", place / chosen, entry, token)
    else:
        remote = RemoteFile(chosen, (f"{address}/{chosen}",), size, str(stored["sha256"]).lower())
        download(remote, place, progress=lambda _, done, total: progress(name, done, total), token=token)
    write_atomically(place / NOTE, json.dumps({"license": _license(answer)}).encode())
    found = _cached(place, name)
    if found is None:
        raise DataError("the cache folder has changed meanwhile")
    return found


def _fetch_small(url: str, path: Path, entry: dict[str, Any], token: str | None) -> None:
    """Download a file that Git holds itself, and compare it with its object's name there."""
    content = read_url(url, MAX_ANSWER, token=token)
    name = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    if name != entry["blobId"]:
        raise DataError(f"{path.name}: the checksum does not match")
    write_atomically(path, content)


def _license(answer: dict[str, Any]) -> str | None:
    card = answer.get("cardData")
    found = card.get("license") if isinstance(card, dict) else None
    return found[:200] if isinstance(found, str) else None


def _cached(place: Path, name: str, note: str | None = None) -> HubFile | None:
    """Return the weights in a revision's folder, if they are complete: the note is written last."""
    path = next((place / each for each in WEIGHTS if (place / each).is_file()), None)
    if path is None or not (place / NOTE).is_file():
        return None
    try:
        license_ = json.loads(read_bounded(place / NOTE, MAX_ANSWER))["license"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return HubFile(path, f"{name}@{place.name}", license_ if isinstance(license_, str) else None, note)
