"""Nothing in the package writes to the disk but through `rot180.files`, or asks which system it runs on."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import rot180

ROOT = Path(rot180.__file__).parent

WRITES = {
    "write_text",
    "write_bytes",
    "mkdir",
    "makedirs",
    "touch",
    "unlink",
    "rmdir",
    "rmtree",
    "rename",
    "symlink_to",
}
WRITES |= {"hardlink_to", "copyfile", "copy2", "copytree", "move", "mkstemp", "mkdtemp", "NamedTemporaryFile"}
WRITES |= {"savez", "savez_compressed", "savetxt", "tofile", "save_file", "truncate", "ftruncate", "SummaryWriter"}
OPENS = {"open", "fdopen"}
SYSTEM = {("sys", "platform"), ("os", "name"), ("platform", "system")}

ALLOWED = {
    # The exception: a history is appended to, line by line, and cut where a checkpoint ends.
    "runs/history_file.py": {"open", "open_regular", "open_descriptor", "truncate"},
    # The event files are appended to by their library.
    "runs/tensorboard.py": {"SummaryWriter"},
    # A partial download is continued; it gets its name from the door.
    "data/download.py": {"fdopen", "open_descriptor", "truncate", "unlink"},
    # The lock of a run holds a number for a message.
    "runs/lock.py": {"open_descriptor", "ftruncate"},
    # The journal of a study is appended to, line by line, and loses a line that was cut off.
    "tuning/journal.py": {"open_regular", "truncate"},
    # A run is begun without a history where there is no checkpoint to go on from.
    "runs/resume.py": {"unlink"},
    # The message that MPI adds to ours leads nowhere.
    "parallel/mpi.py": {"open"},
    # Streams that were closed lead nowhere.
    "cli/__init__.py": {"open"},
    "cli/failure.py": {"open"},
}
NAMES_OF_SYSTEMS = {
    "memory.py": {("sys", "platform")},  # where each system tells how much memory is left
    "runs/environment.py": {("platform", "system")},  # written down, not acted upon
}


def sources() -> Iterator[tuple[str, ast.Module]]:
    """Yield the package's files outside the door, parsed."""
    for path in sorted(ROOT.rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if not name.startswith("files/"):
            yield name, ast.parse(path.read_text(encoding="utf-8"))


def writing_calls(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the calls in a file that write to the disk: line and name."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        name = getattr(function, "attr", getattr(function, "id", ""))
        given = [*node.args, *(keyword.value for keyword in node.keywords)]
        texts = [value.value for value in given if isinstance(value, ast.Constant) and isinstance(value.value, str)]
        of_os = getattr(getattr(function, "value", None), "id", "") == "os"
        modes = [text for text in texts if set(text) <= set("rwaxbt+") and set(text) & set("wax+")]
        if name in WRITES or (name == "replace" and of_os):
            yield node.lineno, name
        elif name in OPENS and (of_os or modes):
            yield node.lineno, name
        elif name == "open_descriptor" or (name == "open_regular" and modes):
            yield node.lineno, name
        elif name == "savefig" and not (given and isinstance(given[0], ast.Name) and given[0].id.endswith("_file")):
            yield node.lineno, name


def test_all_writing_goes_through_one_door() -> None:
    found = [
        f"{name}:{line}: {call}"
        for name, tree in sources()
        for line, call in writing_calls(tree)
        if call not in ALLOWED.get(name, set())
    ]
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        "path.write_text('x')",
        "path.open('w')",
        "open(path, mode='ab')",
        "os.open(path, os.O_WRONLY)",
        "os.replace(a, b)",
        "path.parent.mkdir()",
        "figure.savefig(path)",
        "np.savez(path, a=a)",
        "open_regular(path, 'ab')",
    ],
)
def test_the_search_finds(line: str) -> None:
    assert list(writing_calls(ast.parse(line)))


def test_only_the_door_asks_which_system_it_is() -> None:
    found = [
        f"{name}:{node.lineno}: {node.value.id}.{node.attr}"
        for name, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and (node.value.id, node.attr) in SYSTEM
        and (node.value.id, node.attr) not in NAMES_OF_SYSTEMS.get(name, set())
    ]
    assert found == []


def test_no_exception_is_left_over() -> None:
    calls = {name: {call for _, call in writing_calls(tree)} for name, tree in sources()}
    assert all(allowed & calls[name] for name, allowed in ALLOWED.items())
