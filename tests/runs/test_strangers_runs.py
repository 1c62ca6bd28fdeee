"""Runs that somebody sent: links, pipes and devices, values of any kind, files that would fill the memory."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import strangers

from rot180.errors import ArgumentError, ModelError, Rot180Error
from rot180.runs import load_model, load_run, save_model
from rot180.runs.checkpoint import list_checkpoints, load_checkpoint
from rot180.runs.fields import RECORDER, check_fields
from rot180.runs.overview import summarize_run
from rot180.runs.report import write_report
from rot180.runs.resume import resume_run

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has neither pipes with names nor links for everyone")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> strangers.Stranger:
    return strangers.Stranger(tmp_path_factory.mktemp("strangers"))


@pytest.fixture
def run(stranger: strangers.Stranger, tmp_path: Path) -> Path:
    """A run to be damaged."""
    return Path(shutil.copytree(stranger.outside / "run", tmp_path / "run"))


# Which command opens which part; `strangers.py` tries all of them on all.
TRIED = {
    "evaluate": ("config.toml", "history.jsonl", "environment.json", "model.safetensors", "checkpoints"),
    "predict": ("checkpoints/NEWEST", "checkpoints/NEWEST/state.json", "checkpoints/NEWEST/model.safetensors"),
    "runs": ("config.toml", "history.jsonl", ".lock"),
    "show": ("pictures", "pictures/curves.png", "report.html", "environment.json"),
    "train": (
        *(
            ".lock",
            "history.jsonl",
            "checkpoints",
            "tensorboard",
            "best.safetensors",
            "environment.json",
            "report.html",
        ),
        *("checkpoints/NEWEST/training.safetensors", "checkpoints/NEWEST/SHA256SUMS", "model.safetensors"),
    ),
}


@posix
@pytest.mark.parametrize("command", TRIED)
@pytest.mark.parametrize("replacement", strangers.REPLACEMENTS)
def test_nothing_outside_is_read_or_changed(
    stranger: strangers.Stranger, command: str, replacement: Callable[[Path, Path], None]
) -> None:
    if not strangers.notes_reading(stranger.folder):
        pytest.skip("this file system does not keep when a file was read")
    places = TRIED[command]
    if replacement is not strangers.link_outside:
        places = places[strangers.REPLACEMENTS.index(replacement) % 3 :: 3]
    for place in places:
        assert stranger.faults(place, replacement, command) == [], place


@posix
@pytest.mark.parametrize(("name", "what"), [(".lock", "created"), ("history.jsonl", "written")])
def test_hard_links_are_not_written_to(run: Path, tmp_path: Path, name: str, what: str) -> None:
    mine = tmp_path / "mine"
    shutil.copy(run / name, mine)  # a history that the checkpoint belongs to
    before = mine.read_bytes()
    (run / name).unlink()
    os.link(mine, run / name)
    with pytest.raises(ModelError, match=rf"{name}: cannot be {what} \(a hard link, so a file elsewhere would change"):
        resume_run(run, draw=False)
    assert mine.read_bytes() == before
    load_run(run)


@posix
def test_links_are_refused_in_a_run_and_followed_where_the_user_gives_them(run: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").symlink_to(run)
    assert load_run(tmp_path / "mine").folder is not None
    (tmp_path / "mine.safetensors").symlink_to(run / "model.safetensors")
    assert load_run(tmp_path / "mine.safetensors").model.is_built
    assert load_model(tmp_path / "mine.safetensors").is_built
    (run / "other.safetensors").symlink_to(run / "model.safetensors")
    with pytest.raises(
        ModelError, match=r"other\.safetensors: cannot be read \(a symbolic link, which is not followed\)"
    ):
        load_run(run / "other.safetensors")
    model = list_checkpoints(run / "checkpoints")[0] / "model.safetensors"
    assert load_run(model).model.is_built
    model.unlink()
    model.symlink_to(run / "model.safetensors")
    with pytest.raises(ModelError, match="a symbolic link, which is not followed"):
        load_run(model)


def test_the_history_is_cut_only_where_its_checkpoint_belongs(run: Path) -> None:
    history = run / "history.jsonl"
    content = history.read_bytes()
    for other in (content[20:], content.replace(b'"epoch", ', b'"other", '), b""):
        history.write_bytes(other)
        with pytest.raises(ModelError, match=r"history\.jsonl: (does not belong to the checkpoint|line 1: )"):
            resume_run(run, draw=False)
        assert history.read_bytes() == other
    history.unlink()
    told: list[str] = []
    assert resume_run(run, draw=False, tell=told.append).history.stopped == "finished"
    assert told == [f"{history} is missing: a new one starts here"]


ODD = ("1e999", "-1", "1" * 400, '"x"', "[]", "{}", "null", "true", "[[1]]", '{"a": {"b": 1e999}}', "0.5")


def variants(value: Any) -> Iterator[str]:
    """Yield JSON in which each value in turn is another one, three of the odd ones each."""
    odd = itertools.cycle(ODD)
    for path in places(value):
        for one in itertools.islice(odd, 3):
            yield json.dumps(replaced(value, path), indent=1).replace('"HERE"', one)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to each value; of a long list to the first only."""
    yield path
    if isinstance(value, dict):
        for name, item in value.items():
            yield from places(item, (*path, name))
    elif isinstance(value, list) and value:
        yield from places(value[0], (*path, 0))


def replaced(value: Any, path: tuple[Any, ...]) -> Any:
    """Return a value in which a placeholder stands at the end of the way."""
    if not path:
        return "HERE"
    inner = replaced(value[path[0]], path[1:])
    if isinstance(value, dict):
        return {**value, path[0]: inner}
    return [inner, *value[1:]]


def read_all(run: Path) -> None:
    """Read a run as the commands do."""
    loaded = load_run(run)
    summarize_run(run)
    assert loaded.folder is not None
    write_report(loaded.folder, loaded.model)


def only_typed_errors(run: Path, read: Callable[[Path], object]) -> bool:
    """Read a run and say whether it could be read; any exception but a typed one is a failure."""
    try:
        read(run)
    except Rot180Error:
        return False
    return True


def test_any_value_in_the_history(run: Path) -> None:
    path = run / "history.jsonl"
    lines = path.read_text().splitlines()
    first = {json.loads(line)["event"]: at for at, line in reversed(list(enumerate(lines)))}
    lines.append(json.dumps({"event": "extended", "epochs": 3, "before": 2}))
    first["extended"] = len(lines) - 1
    read = []
    for at in first.values():
        for line in variants(json.loads(lines[at])):
            path.write_text("\n".join([*lines[:at], line.replace("\n", ""), *lines[at + 1 :]]) + "\n")
            read.append(only_typed_errors(run, summarize_run))
    assert any(read)
    assert not all(read)


def test_any_value_in_the_environment(run: Path) -> None:
    path = run / "environment.json"
    read = []
    for text in variants(json.loads(path.read_text())):
        path.write_text(text)
        read.append(only_typed_errors(run, read_all))
    assert any(read)
    assert not all(read)


def test_any_value_in_the_configuration(run: Path) -> None:
    path = run / "config.toml"
    lines = path.read_text().splitlines()
    odd = itertools.cycle((*ODD[:6], "inf", "nan", *ODD[7:9], "0.5", "1979-05-27", "true"))
    read = []
    for at, line in enumerate(lines):
        if " = " in line:
            for one in itertools.islice(odd, 4):
                path.write_text("\n".join([*lines[:at], f"{line.partition(' = ')[0]} = {one}", *lines[at + 1 :]]))
                read.append(only_typed_errors(run, load_run))
                read.append(only_typed_errors(run, resumed_before_it_trains))
    assert any(read)
    assert not all(read)


def resumed_before_it_trains(run: Path) -> None:
    """Resume a run up to its first step."""

    def stop(event: object) -> None:
        raise ArgumentError("here it would train")

    resume_run(run, draw=False, subscribers=[stop], tell=lambda text: None)


def test_any_value_in_the_state(run: Path) -> None:
    newest = list_checkpoints(run / "checkpoints")[0]
    path, sums = newest / "state.json", newest / "SHA256SUMS"
    table, noted = json.loads(path.read_text()), sums.read_text()
    before = hashlib.sha256(path.read_bytes()).hexdigest()

    def load(run: Path) -> None:
        check_fields(load_checkpoint(newest).extra, RECORDER, "state.json")

    read = []
    for text in variants(table):
        path.write_text(text)
        sums.write_text(noted.replace(before, hashlib.sha256(text.encode()).hexdigest()))
        read.append(only_typed_errors(run, load))
    assert any(read)
    assert not all(read)


def test_any_value_in_the_metadata_of_a_model(run: Path) -> None:
    path = run / "model.safetensors"
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    del header["__metadata__"]["crc32"]  # with it, any change is refused; files of other programs have none
    read = []
    for name, text in header["__metadata__"].items():
        texts = [*ODD, *(variants(json.loads(text)) if text.startswith(("[", "{")) else ())]
        for one in texts:
            changed = json.dumps({**header, "__metadata__": {**header["__metadata__"], name: one}}).encode()
            path.write_bytes(len(changed).to_bytes(8, "little") + changed + data[8 + length :])
            read.append(only_typed_errors(run, load_run))
    assert any(read)
    assert not all(read)


HUNGRY = {
    "config.toml": {
        "one dotted key": b".".join([b"a"] * 30_000) + b" = 1\n",
        "a table of a dotted key": b"[" + b".".join([b"'a'"] * 100_000) + b"]\n",
        "a long list": b"a = [" + b"[]," * 300_000 + b"]\n",
        "many keys": b"".join(b"a%d=1\n" % number for number in range(100_000)),
    },
    "history.jsonl": {
        "a long line": b"[" + b"[]," * 3_000_000 + b"[]]\n",
        "a line of many values": b'{"event":"x","a":[' + b"[]," * 300_000 + b"[]]}\n",
        "many lines of unknown events": b'{"event":"x","a":{"b":{}}}\n' * 150_000 + b"nonsense\n",
    },
    "environment.json": {"many tables": b"[" + b"{}," * 33_000 + b"{}]"},
    "checkpoints/000099/state.json": {"many lists": b"[" + b"[]," * 3_000_000 + b"[]]"},
}
"""Contents whose objects, or which themselves, take far more memory than a run may."""

READ_WITH_LITTLE_MEMORY = """
import json, resource, sys
from pathlib import Path
from rot180.errors import Rot180Error
from rot180.runs import load_run
from rot180.runs.checkpoint import load_checkpoint
from rot180.runs.overview import summarize_run

readers = {"config.toml": load_run, "environment.json": lambda run: load_run(run).folder.read_environment(),
           "history.jsonl": summarize_run,
           "checkpoints/000099/state.json": lambda run: load_checkpoint(run / "checkpoints" / "000099")}
run = Path(sys.argv[1])
load_run(run)
pages = int(Path("/proc/self/statm").read_text().split()[0])
limit = pages * resource.getpagesize() + 80 * 1024**2
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for name in json.loads(sys.argv[2]):
    path = run / name
    before = path.read_bytes()
    for hungry in sorted(path.parent.glob(f"hungry-*-{path.name}")):
        hungry.replace(path)
        try:
            readers[name](run)
            print(hungry.name, "was read")
        except Rot180Error as error:
            print("refused")
    path.write_bytes(before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit and /proc are Linux's")
def test_memory_is_bounded(run: Path) -> None:
    (run / "checkpoints" / "000099" / "model.safetensors").touch()
    count = 0
    for name, contents in HUNGRY.items():
        for number, content in enumerate(contents.values()):
            path = run / name
            path.with_name(f"hungry-{number}-{path.name}").write_bytes(content)
            count += 1
    done = subprocess.run(
        [sys.executable, "-c", READ_WITH_LITTLE_MEMORY, str(run), json.dumps(list(HUNGRY))],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.splitlines() == ["refused"] * count, done.stderr[-500:]


@posix
def test_a_file_of_a_checkpoint_that_holds_a_terabyte_is_not_waited_for(run: Path) -> None:
    newest = list_checkpoints(run / "checkpoints")[0]
    for name in ("model.safetensors", "training.safetensors"):
        before = (newest / name).stat().st_size
        os.truncate(newest / name, 10**12)  # sparse: it takes no room on the disk
        with pytest.raises(ModelError, match=rf"{name}: larger than the available memory"):
            load_checkpoint(newest)
        os.truncate(newest / name, before)
    load_checkpoint(newest)


def test_a_saved_model_of_one_s_own_counts_as_the_end(run: Path) -> None:
    model = load_run(run).model
    for w in model.parameters.values():
        w[...] = 1
    save_model(run / "model.safetensors", model)
    assert all((w == 1).all() for w in load_run(run).model.parameters.values())
