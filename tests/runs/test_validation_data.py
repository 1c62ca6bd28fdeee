"""What a training is validated on: a share, the data's own validation images, or other data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import rot180
from rot180.data import Dataset
from rot180.errors import ArgumentError, DataError, ShapeError
from rot180.runs.environment import fingerprint
from rot180.runs.folder import load_run
from rot180.runs.resume import resume_run
from rot180.runs.train_run import RunSettings, train_run
from rot180.runs.unseen import unseen
from rot180.training import History, TrainingStarted

NETWORK = "4x4x1 > fc2"


def dataset(validation: int = 6, name: str = "bars") -> Dataset:
    images = np.zeros((26, 4, 4, 1), np.uint8)
    images[::2, :, 1] = images[1::2, 1] = 255
    images[:, 0, 0, 0] = np.arange(26)
    labels = np.arange(26) % 2
    return Dataset(name, images[:20], labels[:20], images[20:], labels[20:], ("down", "across"),
                   validation_images=images[:validation], validation_labels=labels[:validation])  # fmt: skip


def save(path: Path, data: Dataset, *parts: str) -> str:
    arrays = {f"{part}_{what}": getattr(data, f"{part}_{what}") for part in parts for what in ("images", "labels")}
    np.savez(path, **arrays, class_names=np.array(data.class_names))
    return str(path)


def started(model: rot180.Sequential, data: Dataset, **options: object) -> tuple[TrainingStarted, History]:
    seen = []
    history = rot180.fit(model, data, subscribers=[seen.append], engine="numpy", **options)
    return seen[0], history


def test_fit_takes_the_datas_own_validation_images() -> None:
    event, history = started(rot180.network(NETWORK), dataset(), early_stopping=1, epochs=2)
    assert (event.images, event.validation_images) == (20, 6)
    assert history.epochs[-1].validation_loss is not None
    assert started(rot180.network(NETWORK), dataset(), validation=0.2)[0].images == 16
    assert started(rot180.network(NETWORK), dataset(0))[1].epochs[-1].validation_loss is None
    with pytest.raises(ArgumentError, match="early_stopping watches the validation loss"):
        rot180.fit(rot180.network(NETWORK), dataset(0), early_stopping=1)


def test_fit_takes_a_data_set_to_validate_on_by_the_names_of_its_classes() -> None:
    data, other = dataset(0), dataset(5)
    turned = replace(other, class_names=("across", "down"), **{f"{part}_labels": 1 - getattr(other, f"{part}_labels")
                     for part in ("train", "validation", "test")})  # fmt: skip
    histories = []
    for some in (other, turned, (other.validation_images, other.validation_labels)):
        event, history = started(rot180.network(NETWORK), data, validation=some, epochs=2)
        assert event.validation_images == 5
        histories.append(history.column("validation_loss"))
    assert histories[0] == histories[1] == histories[2]
    whole = replace(other, divided=True, validation_images=None, validation_labels=None)
    assert len(whole.for_validation()[0]) == 26
    with pytest.raises(DataError, match="none for validation; give the folder or file of the part to validate on"):
        rot180.fit(rot180.network(NETWORK), data, validation=dataset(0))
    with pytest.raises(DataError, match="was not trained on fox; its classes are down, across"):
        rot180.fit(rot180.network(NETWORK), data, validation=replace(other, class_names=("down", "fox")))
    with pytest.raises(ShapeError, match=r"the shape of the training images, \(4, 4, 1\); they have \(5, 5, 1\)"):
        rot180.fit(rot180.network(NETWORK), data, validation=(np.zeros((2, 5, 5, 1)), np.array([0, 1])))


def test_validation_images_belong_to_the_fingerprint() -> None:
    assert fingerprint(dataset(6)) != fingerprint(dataset(5)) != fingerprint(dataset(0))
    assert fingerprint(dataset(0)) == fingerprint(replace(dataset(0), validation_images=dataset().test_images[:0]))


def test_a_run_validates_on_its_own_images_a_share_or_other_data(tmp_path: Path) -> None:
    own = save(tmp_path / "own.npz", dataset(), "train", "validation", "test")
    other = save(tmp_path / "other.npz", dataset(9), "train")
    seen: list[Dataset] = []
    sources = {
        None: "validation: validation_images, test: test_images, unused: none",
        0.25: "validation: 0.25 of the training images, test: test_images, unused: validation_images",
        other: f"validation: {other}, test: test_images, unused: validation_images",
    }
    for asked, count in ((None, 6), (0.25, 5), (other, 20)):
        settings = RunSettings(data=own, model=NETWORK, epochs=1, validation=asked, engine="numpy")
        run = train_run(settings, out=tmp_path / f"run{count}", draw=False, on_data=seen.append,
                        subscribers=[seen.append])  # fmt: skip
        data, event = seen[0], seen[1]
        assert event.validation_images == count
        assert str(data.sources).endswith(sources[asked])
        assert run.history.epochs[-1].validation_loss is not None
        seen.clear()
    with pytest.raises(DataError, match=r"no data set or path 'nowhere\.npz'"):
        train_run(RunSettings(data=own, model=NETWORK, validation="nowhere.npz"), out=tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_run_goes_on_with_its_validation_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, other = (
        save(tmp_path / "own.npz", dataset(), "train", "test"),
        save(tmp_path / "other.npz", dataset(9), "train"),
    )
    monkeypatch.chdir(tmp_path)
    settings = RunSettings(data=own, model=NETWORK, epochs=2, validation="other.npz", engine="numpy")

    def stop(event: object) -> None:
        if isinstance(event, TrainingStarted):
            event.trainer.stop("interrupted")

    train_run(settings, out=tmp_path / "run", draw=False, subscribers=[stop])
    whole = train_run(settings, out=tmp_path / "whole", draw=False)
    monkeypatch.chdir("/")
    resumed = resume_run(tmp_path / "run", draw=False)
    assert resumed.history.column("validation_loss") == whole.history.column("validation_loss")
    save(Path(other), dataset(9), "test")
    with pytest.raises(DataError, match="none for training, judging by the names"):
        resume_run(tmp_path / "run", draw=False)
    save(Path(other), replace(dataset(9), train_images=dataset().train_images[::-1]), "train")
    with pytest.raises(ArgumentError, match="the data differ from those the run was trained on"):
        resume_run(tmp_path / "run", draw=False)


def test_a_copy_of_the_data_is_known_although_other_data_was_validated_on(tmp_path: Path) -> None:
    own, other = save(tmp_path / "own.npz", dataset(), "train"), save(tmp_path / "other.npz", dataset(9), "train")
    settings = RunSettings(data=own, model=NETWORK, epochs=1, validation=other, engine="numpy")
    train_run(settings, out=tmp_path / "run", draw=False)
    copy = tmp_path / "copy.npz"
    copy.write_bytes(Path(own).read_bytes())
    run = load_run(tmp_path / "run")
    found = unseen(tmp_path / "run", run, str(copy))
    assert len(found.images) == 4
    assert found.note.endswith("every fifth of each class: the run was trained on the others")
    Path(other).unlink()
    assert "only the run folder records" in unseen(tmp_path / "run", run, str(copy)).note
