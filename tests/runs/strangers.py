"""A run that a stranger sent: something else in place of each of its files and folders, each command tried on it.

    python tests/runs/strangers.py          every command on every place, some minutes

Nothing outside the run may be changed or read, and no command may wait or crash. `test_strangers_runs.py` tries a part.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from rot180.cli import main as rot180
from rot180.runs.checkpoint import list_checkpoints
from rot180.runs.train_run import RunSettings, train_run
from rot180.training import StepDone, TrainingStarted

SECONDS = 30
"""For one command; a pipe that is waited for takes longer."""

COMMANDS = {
    "runs": ["RUN"],
    "evaluate": ["RUN", "--engine", "numpy"],
    "predict": ["RUN", "IMAGE", "--engine", "numpy"],
    "explain": ["RUN", "0"],
    "health": ["RUN"],
    "journey": ["RUN"],
    "plan": ["RUN"],
    "show": ["RUN"],
    "train": ["--resume", "RUN", "--tensorboard", "--epochs", "2"],
}

PLACES = (
    "config.toml",
    "environment.json",
    "history.jsonl",
    "model.safetensors",
    "best.safetensors",
    "report.html",
    ".lock",
    "checkpoints",
    "checkpoints/NEWEST",
    "checkpoints/NEWEST/model.safetensors",
    "checkpoints/NEWEST/training.safetensors",
    "checkpoints/NEWEST/state.json",
    "checkpoints/NEWEST/SHA256SUMS",
    "pictures",
    "pictures/curves.png",
    "pictures/curves.svg",
    "tensorboard",
)
"""Files and folders of a run."""


def link_outside(path: Path, outside: Path) -> None:
    """Put a link to the same thing in somebody's own run."""
    path.symlink_to(outside)


def link_inside(path: Path, outside: Path) -> None:
    """Put a link to another name in the same folder."""
    other = path.with_name(f"moved-{path.name}")
    shutil.copytree(outside, other) if outside.is_dir() else shutil.copy(outside, other)
    path.symlink_to(other.name)


def dangling_link(path: Path, outside: Path) -> None:
    """Put a link that leads to where nothing is yet."""
    path.symlink_to(outside.with_name("new-" + outside.name))


def pipe(path: Path, outside: Path) -> None:
    """Put a named pipe."""
    os.mkfifo(path)


def device(path: Path, outside: Path) -> None:
    """Put a link to a device that never ends."""
    path.symlink_to("/dev/zero")


def other_type(path: Path, outside: Path) -> None:
    """Put a folder in place of a file, a file in place of a folder."""
    path.write_text("file") if outside.is_dir() else path.mkdir()


REPLACEMENTS = (link_outside, link_inside, dangling_link, pipe, device, other_type)


def make_run(folder: Path) -> Path:
    """Train a run that was interrupted, and which has everything that a run can have."""
    seen: list[TrainingStarted] = []

    def stop(event: object) -> None:
        if isinstance(event, TrainingStarted):
            seen.append(event)
        elif isinstance(event, StepDone) and event.epoch == 2:
            seen[0].trainer.stop("interrupted")

    settings = RunSettings(
        model="8x8x1 > conv3x3:1:s3 relu > fc10", epochs=2, batch_size=20, limit=50, validation=0.2, engine="numpy"
    )
    train_run(settings, out=folder, subscribers=[stop], draw=False)
    (folder / "tensorboard").mkdir()
    (folder / "tensorboard" / "events").write_bytes(b"")
    for name in ("curves.png", "curves.svg"):
        (folder / "pictures" / name).write_bytes(b"SECRET " * 10)
    newest = list_checkpoints(folder / "checkpoints")[0]
    newest.rename(newest.with_name("000099"))
    return folder


READ, CHANGED = 10**18, 2 * 10**18
"""Times at which the system notes the next reading, as it does for what was not read since it changed."""


def make_unread(folder: Path) -> list[tuple[Path, int]]:
    """Set the times of all that a folder holds, and of itself; return the paths and sizes."""
    paths = [*folder.rglob("*"), folder]
    for path in paths:
        os.utime(path, ns=(READ, CHANGED))
    return [(path, path.stat().st_size) for path in paths]


def touched(entries: list[tuple[Path, int]]) -> list[str]:
    """Return what was read, changed, or is new since."""
    found = []
    for path, size in entries:
        status = path.lstat()
        if (status.st_atime_ns, status.st_mtime_ns, status.st_size) != (READ, CHANGED, size):
            found.append(f"{path} was read or changed")
    return found


@contextlib.contextmanager
def plain_pictures() -> Iterator[None]:
    """Draw empty figures: where they are written is what counts here."""
    from matplotlib.figure import Figure

    names = ("curves", "kernels", "confusion_matrix", "mistakes", "feature_maps")
    with contextlib.ExitStack() as stack:
        for name in names:
            stack.enter_context(mock.patch(f"rot180.pictures.{name}", return_value=Figure(figsize=(0.2, 0.2))))
        yield


def run_command(command: str, run: Path, image: Path) -> tuple[int, str]:
    """Run a command in this process, for some seconds at most; return its exit status and what it printed."""
    names = {"RUN": str(run), "IMAGE": str(image)}
    arguments = [names.get(argument, argument) for argument in COMMANDS[command]]

    def waited(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, waited)
    signal.alarm(SECONDS)
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            return rot180([command, *arguments]), said.getvalue()
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


class Stranger:
    """A folder of one's own, a run in it, and a copy of it that a stranger sends."""

    def __init__(self, folder: Path) -> None:
        self.outside, self.folder = folder / "mine", folder
        self.outside.mkdir()
        make_run(self.outside / "run")
        self.image = folder / "image.png"
        from PIL import Image

        Image.new("L", (8, 8)).save(self.image)
        self._numbers = itertools.count()

    def faults(self, place: str, replacement: object, command: str) -> list[str]:
        """Return what went wrong with a command on a run in which something stands in place of a part."""
        place = place.replace("NEWEST", "000099")
        run = self.folder / f"sent-{next(self._numbers)}" / "run"
        shutil.copytree(self.outside / "run", run)
        target = run / place
        shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
        replacement(target, self.outside / "run" / place)  # type: ignore[operator]
        entries = make_unread(self.outside)
        found = []
        try:
            with plain_pictures():
                status, said = run_command(command, run, self.image)
        except TimeoutError:
            return ["it waits"]
        if status not in (0, 2):
            found.append(f"status {status}: {said[-300:]}")
        if status == 2 and len(said.strip().splitlines()) > 4:
            found.append(f"more than a few lines: {said[-300:]}")
        found += touched(entries)
        shutil.rmtree(run.parent)
        return found


def notes_reading(folder: Path) -> bool:
    """Say whether the file system keeps when a file was read."""
    path = folder / "probe"
    path.write_text("x")
    make_unread(folder)
    path.read_text()
    return path.stat().st_atime_ns != READ


def main() -> int:
    """Try everything."""
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        stranger = Stranger(Path(name))
        print("reading is noted:", notes_reading(Path(name)))
        for place, replacement, command in itertools.product(PLACES, REPLACEMENTS, COMMANDS):
            for fault in stranger.faults(place, replacement, command):
                wrong += 1
                print(f"{command}, {replacement.__name__} at {place}: {fault}")
    print(f"{len(PLACES) * len(REPLACEMENTS) * len(COMMANDS)} tried, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
