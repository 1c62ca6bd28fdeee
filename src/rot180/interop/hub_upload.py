"""Files sent to a repository of a model hub, with the hub's own package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rot180.errors import ArgumentError, ModelError
from rot180.interop.hub import hub_address, hub_token

if TYPE_CHECKING:
    from huggingface_hub import HfApi

HOW_TO_LOG_IN = "log in with: hf auth login, or set HF_TOKEN"


def require_hub() -> None:
    """Raise ArgumentError unless the hub's package is installed."""
    try:
        import huggingface_hub  # noqa: F401
    except ImportError:
        raise ArgumentError('push needs a package: pip install "rot180[hub]"') from None


def upload(
    name: str,
    files: Mapping[str, bytes],
    *,
    private: bool = False,
    revision: str | None = None,
    shows_progress: bool = False,
) -> str:
    """Send files to a repository in one commit, and return the commit.

    The token is that of `hf auth login`, or of the environment variable HF_TOKEN; it is neither printed nor written.

    Parameters
    ----------
    name : str
        `owner/name`; created if it does not exist.
    files : mapping of str to bytes
        Contents by name.
    private : bool
        Create the repository as private.
    revision : str, optional
        A branch, created if it does not exist; by default the main one.
    shows_progress : bool
        Whether to draw a bar on stderr.

    Raises
    ------
    ArgumentError
        The package is not installed.
    ModelError
        There is no token, the hub refuses it, the repository is public and a private one was asked for, or the network
        fails.
    """
    require_hub()
    from huggingface_hub import HfApi
    from huggingface_hub.utils import disable_progress_bars

    token = hub_token()
    if token is None:
        raise ModelError(f"{name}: push needs a token that may write; {HOW_TO_LOG_IN}")
    if not shows_progress:
        disable_progress_bars()
    api = HfApi(endpoint=hub_address(), token=token, library_name="rot180")
    try:
        return _send(api, name, files, private, revision)
    except ModelError:
        raise
    except Exception as error:
        raise _failure(name, error, token) from None


def _send(api: HfApi, name: str, files: Mapping[str, bytes], private: bool, revision: str | None) -> str:
    from huggingface_hub import CommitOperationAdd
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        found = api.model_info(name)
    except RepositoryNotFoundError:
        api.create_repo(name, private=private, exist_ok=True)
    else:
        if private and not found.private:
            raise ModelError(f"{name} exists and is public; make it private on the hub first, or choose another name")
    if revision is not None:
        api.create_branch(name, branch=revision, exist_ok=True)
    operations = [CommitOperationAdd(path, content) for path, content in files.items()]
    return str(api.create_commit(name, operations, commit_message="Upload a network of rot180", revision=revision).oid)


def _failure(name: str, error: Exception, token: str) -> ModelError:
    """Return the error in one line; nothing in it is the token."""
    if type(error) is RuntimeError and isinstance(error.__cause__, Exception):  # while a large file was sent
        error = error.__cause__
    status = getattr(getattr(error, "response", None), "status_code", None)
    said = " ".join(str(getattr(error, "server_message", None) or error).split()).replace(token, "...")[:160]
    if status == 401:
        return ModelError(f"{name}: the hub does not accept the token ({said}); {HOW_TO_LOG_IN}")
    if status == 403:
        return ModelError(
            f"{name}: the token may not write there ({said}); check the owner's name and the token's rights"
        )
    if status is not None:
        return ModelError(f"{name}: the hub answered {status} ({said}); nothing was changed")
    return ModelError(f"{name}: cannot be sent ({type(error).__name__}: {said}); check the network, and try again")
