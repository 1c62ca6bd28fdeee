"""Which images are for training, validation and testing: the same rules for all formats.

Files, folders and arrays are recognized by whole words in their names: `seg_train`, `X_train.npy` and `trainSet` are
training parts, `contest` and `trainers` are not. If no name says which part it is, a fifth of each class is held out
for testing; if there are validation images but no test images, the validation images are used for testing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from rot180.data.visible import named
from rot180.errors import DataError

PARTS = ("train", "validation", "test")

WORDS = {
    "train": "train training trainset trainingset traindata trainval 训练 训练集",
    "validation": "val valid validation validate valset validset validationset dev devset development 验证 验证集",
    "test": "test testing tests testset testdata eval evaluation evaluate evalset holdout heldout 测试 测试集",
}
"""The words for each part; case is ignored."""

HELD_OUT = "every fifth image of each class, held out"
"""The source of test images if the data has none."""

_PART = {word: part for part, words in WORDS.items() for word in words.split()}
_WORD = re.compile(r"t10k|[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_a-zA-Z]+")
_SHARD = re.compile(r"(\d+)-of-(\d+)")
_NO_NAME = re.compile(r"\d+|of|[0-9a-f]{16}|k")
"""Words that number the pieces of a part and do not belong to its name."""

T = TypeVar("T")


class Sources(NamedTuple):
    """Where the images of each part come from, in words; empty for a missing part."""

    train: str = ""
    validation: str = ""
    test: str = ""
    unused: str = ""

    def __str__(self) -> str:
        train, validation, test, unused = (source or "none" for source in self)
        return f"train: {train}, validation: {validation}, test: {test}, unused: {unused}"


NO_SOURCES = Sources()


def words(name: str) -> list[str]:
    """Return the words of a name in lower case; a capital letter after a lower-case one begins a new word.

    >>> words("X_train"), words("trainLabels2"), words("t10k-images")
    (['x', 'train'], ['train', 'labels', '2'], ['t10k', 'images'])
    """
    return [word.lower() for word in _WORD.findall(name)]


def part_of(name: str) -> str | None:
    """Return the part that a name denotes; None if it has no word for a part, or words for several.

    >>> [part_of(name) for name in ("seg_train", "val2017", "hold-out", "t10k-images", "contest", "train_or_test")]
    ['train', 'validation', 'test', 'test', None, None]
    """
    found = {part for word in words(name) if (part := _part_of_word(word))}
    if found == {"train", "validation"}:  # "train_val": everything but the test images
        return "train"
    if not found and re.search(r"(^|[\W_])h[eo]ld[-_ ]?out([\W_]|$)", name.lower()):
        return "test"
    return found.pop() if len(found) == 1 else None


def is_submission(name: str) -> bool:
    """Return whether a table is a competition's submission form, whose labels are only placeholders.

    >>> is_submission("sampleSubmission.csv"), is_submission("gender_submission.csv"), is_submission("labels.csv")
    (True, True, False)
    """
    return not {"submission", "submissions"}.isdisjoint(words(name))


def _part_of_word(word: str) -> str | None:
    return "test" if word == "t10k" else _PART.get(word)


def assign(where: object, found: Mapping[str, T]) -> dict[str, T]:
    """Return what to train, validate and test on, given what was found for each part.

    Parameters
    ----------
    where : object
        What to call the data in errors.
    found : mapping of part to anything
        The empty name stands for data without a part.

    Raises
    ------
    DataError
        There is a test or validation part but nothing to train on.

    Examples
    --------
    >>> assign("photos", {"train": 1, "validation": 2}), assign("photos", {"": 1})
    ({'train': 1, 'test': 2}, {'train': 1})
    """
    if "train" not in found:
        if "" not in found or len(found) > 1:
            there = " and ".join(part for part in PARTS if part in found) or "no"
            raise DataError(
                f"{where}: has {there} images but none for training, judging by the names; give the folder above both, "
                "or the path of that part to use all of it"
            )
        return {"train": found[""]}
    parts = {part: found[part] for part in PARTS if part in found}
    if "test" not in parts and "validation" in parts:
        parts["test"] = parts.pop("validation")
    return parts


def choose_files(where: Path, files: Sequence[Path]) -> tuple[dict[str, list[Path]], list[Path]]:
    """Sort the files of one format in or below a folder into parts; return them and the unused files.

    The part follows from the file's name, or else from that of its folder. Files whose names differ in more than the
    part and a number belong to different data sets, and so do those in different folders.

    Parameters
    ----------
    where : Path
        The folder given by the user.
    files : sequence of Path
        Files in it; at least one.

    Raises
    ------
    DataError
        There is more than one data set, a piece of one is missing, or there are only test files.
    """
    sets: dict[str, dict[str, list[Path]]] = {}
    submissions = [file for file in files if is_submission(file.name)]
    if len(submissions) == len(files):
        submissions = []
    for file in sorted(set(files) - set(submissions)):
        part, rest = _part_and_rest(file.relative_to(where))
        sets.setdefault(rest, {}).setdefault(part, []).append(file)
    training = [rest for rest, parts in sets.items() if "train" in parts]
    if len(training) > 1 or (not training and len([rest for rest, parts in sets.items() if "" in parts]) > 1):
        several = training or list(sets)
        firsts = [next(iter(sets[rest].get("train") or next(iter(sets[rest].values())))) for rest in several]
        inside = [rest.rpartition("/")[0] for rest in several]
        is_apart = all(inside) and len(set(inside)) == len(inside)  # each in a folder, which holds all its parts
        shown = named(inside if is_apart else [file.relative_to(where).as_posix() for file in firsts], 4)
        raise DataError(f"{where}: holds several data sets ({shown}); give the path of the one to use")
    unused = submissions
    if training:
        found = sets.pop(training[0])
        for parts in sets.values():
            for part, others in parts.items():
                if part and part not in found:
                    found[part] = others
                else:
                    unused += others
        unused += found.pop("", [])
    elif len(sets) == 1 or not any("" in parts for parts in sets.values()):
        found = {part: some for parts in sets.values() for part, some in parts.items()}
    else:
        rest = next(rest for rest, parts in sets.items() if "" in parts)
        found = sets.pop(rest)
        unused += [file for parts in sets.values() for some in parts.values() for file in some]
    chosen = assign(where, found)
    for some in chosen.values():
        _check_pieces(some)
    return chosen, sorted(unused)


def _part_and_rest(file: Path) -> tuple[str, str]:
    """Return the part that a path denotes, or "", and the rest of the path without the part and numbers."""
    folders = list(file.parent.parts)
    stem = file.name.partition(".")[0] or file.name
    part = part_of(stem) or ""
    while not part and folders:
        part = part_of(folders[-1]) or ""
        if part:
            folders.pop()
        else:
            break
    left = [word for word in words(stem) if _part_of_word(word) is None and not _NO_NAME.fullmatch(word)]
    hashed = re.sub(r"(?<![0-9a-f])[0-9a-f]{16}(?![0-9a-f])", "", stem)
    if hashed != stem:
        left = [word for word in words(hashed) if _part_of_word(word) is None and not _NO_NAME.fullmatch(word)]
    return part, "/".join([*folders, " ".join(left)])


def _check_pieces(files: Sequence[Path]) -> None:
    """Raise DataError if names such as `train-00000-of-00002` imply more pieces than there are."""
    numbered = [match for file in files if (match := _SHARD.search(file.name))]
    if numbered and (missing := set(range(int(numbered[0][2]))) - {int(match[1]) for match in numbered}):
        raise DataError(
            f"{files[0]}: expected {int(numbered[0][2])} pieces, judging by the name, found {len(numbered)}; piece "
            f"{min(missing):05} is missing, add it"
        )
