"""Runs sent to a hub on this machine, and fetched again: the same bits, and no secret anywhere."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")

import yaml
from huggingface_hub import constants
from typer.testing import CliRunner

import rot180
from fake_hub import Server, running
from rot180.cli.app import app
from rot180.data import named
from rot180.errors import ArgumentError, ModelError
from rot180.interop import hub
from rot180.interop.weights import save_weights
from rot180.runs import load_run
from rot180.runs.card import measured, repository_files
from rot180.runs.repository import pull, push
from rot180.runs.source import open_source
from rot180.runs.train_run import RunSettings, train_run

TOKEN = "hf_averysecrettoken"

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # inside the hub's package


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    settings = RunSettings(model="8x8x1 > conv3x3:4 bn relu > fc10", epochs=2, limit=200, validation=0.2)
    return train_run(settings, out=tmp_path_factory.mktemp("runs") / "run", draw=False).folder.path


@pytest.fixture
def server(monkeypatch, tmp_path) -> Iterator[Server]:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # the plain protocol, which the fake speaks
    with running(monkeypatch, tmp_path) as server:
        server.tokens.add(TOKEN)
        yield server


def part_for_testing():
    data = rot180.load_data("digits")
    return data.test_images, data.test_labels


def send(run, name, **options):
    told = []
    return push(run, name, tell=told.append, **options), told


def test_what_was_pushed_and_pulled_predicts_the_same_bits(run, server):
    commit, told = send(run, "maker/digits", license="mit")
    assert told == []
    assert set(server.branches["maker/digits"]["main"]) == {"model.safetensors", "config.json", "README.md"}
    found = pull("maker/digits")
    assert (found.path, found.repository, found.license) == (Path("digits"), f"maker/digits@{commit}", "mit")
    images = rot180.load_data("digits").test_images
    expected = rot180.predict(load_run(run).model, images)
    for model in (found.model, load_run("digits").model, rot180.load_model("digits/model.safetensors")):
        np.testing.assert_array_equal(rot180.predict(model, images), expected)
    assert {entry.name for entry in Path("digits").iterdir()} == {"model.safetensors", "config.json", "README.md"}
    # It can be started from, by name and as a folder.
    for text in ("maker/digits", "digits"):
        np.testing.assert_array_equal(rot180.predict(open_source(text).model, images), expected)
    with pytest.raises(ArgumentError, match="digits already exists; choose another --out or remove it"):
        pull("maker/digits")


def test_the_card_tells_what_was_measured(run, server):
    send(run, "maker/digits", license="cc-by-4.0")
    card = server.branches["maker/digits"]["main"]["README.md"].decode()
    _, front, page = card.split("---\n", 2)
    known, test = yaml.safe_load(front), rot180.evaluate(load_run(run).model, *part_for_testing())
    assert (known["license"], known["library_name"]) == ("cc-by-4.0", "rot180")
    result = known["model-index"][0]["results"][0]
    assert result["dataset"] == {"name": "digits", "type": "digits", "split": "test"}
    assert result["metrics"] == [{"type": "accuracy", "value": pytest.approx(test.accuracy, abs=1e-6)}]
    assert f"| test | {test.count:,} | {100 * test.accuracy:.2f}% | {test.loss:.4f} |" in page
    assert "| validation | - | " in page
    config = json.loads(server.branches["maker/digits"]["main"]["config.json"])
    assert config["label_names"] == list("0123456789")
    assert config["rot180"]["measured"]["test"]["accuracy"] == test.accuracy
    assert pull("maker/digits").measured["test"]["accuracy"] == test.accuracy


def test_no_path_of_the_machine_is_sent(tmp_path):
    images, labels = np.zeros((40, 6, 6, 1), np.uint8), np.arange(40) % 2
    images[1::2] = 200
    folder = tmp_path / "alice" / "secret"
    folder.mkdir(parents=True)
    np.savez(folder / "cats.npz", images=images, labels=labels)
    np.savez(folder / "more.npz", images=images, labels=labels)
    settings = RunSettings(
        data=str(folder / "cats.npz"), model="6x6x1 > fc2", epochs=1, validation=str(folder / "more.npz")
    )
    path = train_run(settings, out=tmp_path / "run", draw=False).folder.path
    files = repository_files(load_run(path), "maker/cats")
    assert b"cats.npz" in files["README.md"]
    for content in files.values():
        assert b"alice" not in content
        assert b"secret" not in content
        assert str(tmp_path).encode() not in content
    # Untrusted names stay inside the card.
    run = load_run(path)
    run.model.class_names = ("`` ` <b>\n---\nlicense: x", "| a |")
    card = repository_files(run, "maker/cats")["README.md"].decode()
    assert "\nlicense" not in card
    assert "license" not in yaml.safe_load(card.split("---\n", 2)[1])


def test_a_run_that_was_not_tested_says_so(run, tmp_path):
    path = tmp_path / "model.safetensors"
    rot180.save_model(path, load_run(run).model)
    files = repository_files(load_run(path), "maker/plain")
    assert b"Nothing was measured" in files["README.md"]
    assert b"model-index" not in files["README.md"]
    assert "measured" not in json.loads(files["config.json"])["rot180"]


def test_a_test_of_other_weights_does_not_count(run, tmp_path):
    """A run that was trained further after its test has none."""
    shutil.copytree(run, tmp_path / "run")
    with (tmp_path / "run" / "history.jsonl").open("a") as file:
        file.write('{"event": "extended", "before": 2, "epochs": 3}\n')
    assert set(measured(load_run(run))) == {"test", "validation"}
    assert set(measured(load_run(tmp_path / "run"))) == {"validation"}


def test_private_repositories_need_the_token_which_stays_with_the_hub(run, server, monkeypatch, tmp_path):
    send(run, "maker/hidden", private=True, license="mit")
    assert server.private["maker/hidden"]
    server.given.clear()
    pull("maker/hidden", tmp_path / "mine")
    told = {address.partition("/maker")[0].partition("/api")[0]: said for address, said in server.given}
    assert told == {server.home: f"Bearer {TOKEN}", server.elsewhere: None}
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    monkeypatch.setenv(named.CACHE, str(tmp_path / "other"))
    with pytest.raises(ModelError, match="no public repository of this name"):
        pull("maker/hidden", tmp_path / "theirs")
    # Weights to start from are fetched without a token.
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    send(run, "maker/open", license="mit")
    server.given.clear()
    open_source("maker/open")
    assert {said for _, said in server.given} == {None}


def test_branches(run, server):
    send(run, "maker/digits", license="mit")
    other = rot180.network("8x8x1 > fc10").build(seed=1)
    rot180.save_model("other.safetensors", other)
    send("other.safetensors", "maker/digits@trial", license="mit")
    assert pull("maker/digits", "main").model.notation != other.notation
    assert pull("maker/digits@trial", "trial").model.notation == other.notation
    assert pull("maker/digits", "again", revision="trial").model.notation == other.notation
    with pytest.raises(ArgumentError, match="two revisions are given, trial and main; leave one out"):
        pull("maker/digits@trial", "more", revision="main")
    for wrong in ("", "two words", "../../main", "a" * 101):
        with pytest.raises(ArgumentError, match="--revision must be a branch, tag or commit; it is"):
            pull("maker/digits", "more", revision=wrong)
    with pytest.raises(ModelError, match="no public repository of this name and revision"):
        pull("maker/digits", "more", revision="not/there")


def test_what_cannot_be_pushed(run, server, monkeypatch, tmp_path):
    for name in ("digits", "a/b/c", "maker/", "maker/model.safetensors"):
        with pytest.raises(ArgumentError, match="a repository is named owner/name, or owner/name@revision"):
            send(run, name)
    with pytest.raises(ArgumentError, match=r"--license must be an identifier of the hub such as mit or cc-by-4\.0"):
        send(run, "maker/digits", license="My License\nx: y")
    send(run, "maker/digits", license="mit")
    with pytest.raises(ModelError, match="maker/digits exists and is public; make it private on the hub first"):
        send(run, "maker/digits", private=True)
    assert send(run, "maker/other")[1] == ["without --license, nobody else may use the network"]
    shutil.copytree(run, tmp_path / "tuned")
    environment = json.loads((run / "environment.json").read_text())
    (tmp_path / "tuned" / "environment.json").write_text(json.dumps({**environment, "source_license": "cc-by-nc-4.0"}))
    assert send(tmp_path / "tuned", "maker/other")[1] == [
        "without --license, nobody else may use the network; the weights it started from: cc-by-nc-4.0"
    ]
    for part, status, message in (
        ("/commit/", 403, "the token may not write there .*check the owner"),
        ("/preupload/", 400, "the hub answered 400"),
        ("repos/create", 401, "the hub does not accept the token"),
    ):
        server.refuses = {part: status}
        with pytest.raises(ModelError, match=message) as caught:
            send(run, f"maker/number{status}")
        assert TOKEN not in str(caught.value)
        assert "\n" not in str(caught.value)
    server.refuses = {}
    monkeypatch.setenv("HF_TOKEN", "two words\n")
    with pytest.raises(ModelError, match="the token for the hub has characters that no token has") as caught:
        pull("maker/digits")
    assert "words" not in str(caught.value)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv(hub.ENDPOINT, "http://example.org")
    for ask in (lambda: pull("maker/digits"), lambda: send(run, "maker/digits")):
        with pytest.raises(ModelError, match="a token is not sent unencrypted"):
            ask()
    for address in ("example.org", "ftp://example.org", "https://"):
        monkeypatch.setenv(hub.ENDPOINT, address)
        for ask in (lambda: pull("maker/digits"), lambda: send(run, "maker/digits"), lambda: open_source("maker/d")):
            with pytest.raises(ModelError, match="HF_ENDPOINT must be an address that begins with https://; it is"):
                ask()
    monkeypatch.setenv(hub.ENDPOINT, "http://example.org")
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    with pytest.raises(ModelError, match="push needs a token that may write; log in with: hf auth login"):
        send(run, "maker/digits")


@pytest.mark.parametrize("config", ["[", "[]", "{}", '{"rot180": {"measured": {"test": {"accuracy": "high"}}}}'])
def test_figures_that_are_none(run, server, config):
    weights = (run / "model.safetensors").read_bytes()
    server.put_repository("maker/odd", {"model.safetensors": weights, "config.json": config.encode()})
    assert pull("maker/odd").measured == {}


def test_weights_of_other_programs_are_imported_instead(server, tmp_path):
    save_weights(rot180.network("8x8x1 > fc10").build(), tmp_path / "weights.safetensors", names="rot180")
    server.put_repository("maker/torch", {"model.safetensors": (tmp_path / "weights.safetensors").read_bytes()})
    with pytest.raises(ModelError, match=r"not those of a network of rot180; .* rot180 import maker/torch"):
        pull("maker/torch")
    assert not Path("torch").exists()
    server.put_repository("maker/lies", {"model.safetensors": b"", "config.json": b"{}"})
    with pytest.raises(ModelError):
        pull("maker/lies")
    assert not Path("lies").exists()


def test_on_the_command_line(run, server, caplog):
    done = CliRunner().invoke(app, ["push", str(run), "maker/digits", "--license", "mit", "--json"])
    assert done.exit_code == 0, done.output
    sent = json.loads(done.stdout)
    assert sent["address"] == f"{server.home}/maker/digits"
    done = CliRunner().invoke(app, ["pull", "maker/digits"])
    assert done.exit_code == 0, done.output
    assert f"weights: maker/digits@{sent['commit']}, license mit" in done.stdout
    assert "test accuracy according to the repository: " in done.stdout
    done = CliRunner().invoke(app, ["evaluate", "digits", "digits", "--json"])
    assert done.exit_code == 0, done.output
    config = json.loads(Path("digits/config.json").read_text())
    assert json.loads(done.stdout)["accuracy"] == config["rot180"]["measured"]["test"]["accuracy"]
    done = CliRunner().invoke(app, ["pull", "maker/digits", "--out", "again", "--json"])
    assert json.loads(done.stdout)["repository"] == f"maker/digits@{sent['commit']}"
    for path in Path().rglob("*"):
        assert path.is_dir() or TOKEN.encode() not in path.read_bytes()
