"""Texts looked up in a catalog, and what the catalogs must hold."""

from __future__ import annotations

import json
import re
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest
from texts import texts

from rot180.language import LANGUAGES, preferred_language
from rot180.language.catalog import Catalog

CATALOGS = [code for code in LANGUAGES if code != "en"]


@pytest.mark.parametrize("code", CATALOGS)
def test_every_translation_has_the_gaps_of_its_text(code: str) -> None:
    for english, translation in Catalog.read(code).texts.items():
        gaps = [set(re.findall(r"\{(\d+)(?::texts?|:names)?\}", text)) for text in (english, translation)]
        assert gaps[1] <= gaps[0], english


def test_data_in_a_gap_stays_and_a_sentence_in_one_is_translated() -> None:
    catalog = Catalog(
        {
            "{0}: expected {1}, found {2}{3}": "{0}：应为 {1}，实为 {2}{3:text}",
            "; did you mean {0}?": "；是否指 {0}？",
            "layer": "层",
        },
        {},
    )
    found = catalog.translate("layer: expected layer, found 'a: b, c'; did you mean 'relu'?")
    assert found == "layer：应为 layer，实为 'a: b, c'；是否指 'relu'？"
    assert catalog.translate("layer: expected 1, found 2") == "layer：应为 1，实为 2"
    assert catalog.translate("nothing of the kind") == "nothing of the kind"


def test_of_two_entries_the_one_with_more_letters_of_its_own_is_taken() -> None:
    catalog = Catalog({"{0} of {1}": "{1} 之 {0}", "{0} of {1} images": "{1} 张图像中的 {0}"}, {})
    assert catalog.translate("3 of 5 images") == "5 张图像中的 3"


def test_heads_stay_above_their_columns_and_rows_of_data_stay_as_they_are() -> None:
    catalog = Catalog({}, {"layer": "层", "loss": "损失", "weight": "权重"}, {"total": "合计"})
    assert catalog.translate("layer   weight  loss") == "层        权重  损失"
    assert catalog.translate("total     1,234  5.6") == "合计      1,234  5.6"
    assert catalog.translate("cat       1,234  loss") == "cat       1,234  loss"
    assert catalog.translate("loss") == "loss"


@pytest.mark.parametrize(
    ("environment", "code"),
    [
        ({}, "en"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_TW"}, "zh"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "en_US.UTF-8"}, "en"),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "en_US.UTF-8", "LANGUAGE": "de:zh_CN:en"}, "zh"),
    ],
)
def test_the_environment_says_which_language(environment: dict[str, str], code: str) -> None:
    assert preferred_language(environment) == code


@pytest.mark.parametrize("code", CATALOGS)
def test_no_text_is_taken_for_another_of_the_catalog(code: str) -> None:
    catalog = Catalog.read(code)
    for english, translation in catalog.texts.items():
        endings = re.findall(r"(?<=\})\{(\d+)\}", english)  # gaps right behind another, which a suggestion may fill
        fills = {number: "" if number in endings else f"x{number}y" for number in re.findall(r"\{(\d+)\}", english)}
        text, expected = (
            re.sub(r"\{(\d+)(?::texts?|:names)?\}", lambda gap, fills=fills: fills[gap[1]], side)
            for side in (english, translation)
        )
        assert catalog.sentence(text) == expected, english


def test_a_gap_of_several_texts_is_translated_one_by_one() -> None:
    catalog = Catalog(
        {"expected {0}": "应为：{0:texts}", "a folder": "文件夹", "a file {0}": "文件 {0}", "; ": "；", ", ": "、"}, {}
    )
    assert catalog.translate("expected a folder; a file x, y") == "应为：文件夹；文件 x, y"
    assert catalog.translate("expected cat, dog") == "应为：cat、dog"


@pytest.mark.parametrize("code", CATALOGS)
def test_no_text_has_two_translations(code: str) -> None:
    found: set[tuple[str, str]] = set()
    for file in sorted((files("rot180.language") / code).iterdir(), key=lambda file: file.name):
        for table, entries in tomllib.loads(file.read_text(encoding="utf-8")).items():
            keys = {(table, english) for english in entries}
            assert found & keys == set(), file.name
            found |= keys


def test_names_in_a_gap_stay_and_only_how_many_more_there_are_is_translated() -> None:
    catalog = Catalog(
        {"found the classes {0}": "有类别 {0:names}", "{0} and {1} more": "{0} 等，另有 {1} 个", "cat": "猫"}, {}
    )
    assert catalog.translate("found the classes cat") == "有类别 cat"
    assert catalog.translate("found the classes cat, dog and 3 more") == "有类别 cat, dog 等，另有 3 个"


@pytest.mark.parametrize("code", CATALOGS)
def test_every_text_that_a_person_may_be_shown_is_translated(code: str) -> None:
    lines = Path(__file__).with_name("not_shown.txt").read_text(encoding="utf-8").splitlines()
    not_shown = {json.loads(line) for line in lines if not line.startswith("#")}
    found, catalog = texts(), Catalog.read(code)
    assert not_shown <= found.keys(), "texts that are no longer in the source"
    assert [text for text in found if text not in not_shown and not catalog.has(text)] == []
