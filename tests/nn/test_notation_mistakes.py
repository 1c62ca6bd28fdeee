"""Mistakes in a notation: one line that stands alone, a caret under the place, what is expected there."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rot180.errors import ArgumentError, NotationError
from rot180.nn import network
from rot180.nn.notation_error import at

MISTAKES = [
    # text, where the caret stands, what the first line says, what is expected there
    ("", "", "the text is empty", "28x28x1"),
    ("  ", "", "the text is empty", "28x28x1"),
    ("conv3:4", "conv3:4", "must start with the size of its images, height x width x channels", "28x28x1"),
    ("28x28 > fc3", "28x28", "must start with the size", "28x28x1"),
    ("0x8x1 > fc3", "0x8x1", "must start with the size", "28x28x1"),
    ("00 > fc3", "00", "must start with the size", "28x28x1"),
    ("8x8x1", "", "needs at least one layer", "conv5x5:32"),
    ("8x8x1 > cnv3:4", "cnv3:4", "'cnv3:4' is not a layer; did you mean 'conv'?", "fc10"),
    ("8x8x1 > ReLU", "ReLU", "did you mean 'relu'?", "relu"),
    ("8x8x1 > 28x28x1", "28x28x1", "is not a layer; a layer starts with a letter", "relu"),
    ("8x8x1 > conv:4", ":4", "conv needs the size of its window, as in conv5x5:32", "5x5"),
    ("8x8x1 > conv2d:4", "2d", "conv needs the size of its window", "5x5"),
    ("8x8x1 > conv3x3 relu", " relu", "conv3x3 needs its number of filters, as in conv5x5:32", ":32"),
    ("8x8x1 > conv3:4:smae", "smae", "conv3 has no option 'smae'; did you mean 'same'?", "pad2"),
    ("8x8x1 > conv3:4:", "", "conv3 has no option ''", "same"),
    ("8x8x1 > conv3:4:name=3", "name=3", "has no option 'name=3'; did you mean 'name'?", "name=stem"),
    ("8x8x1 > conv3:4:s1:s2", "s2", "conv3 has stride twice", "one of the two"),
    ("8x8x1 > relu3", "3", "relu takes no size", "relu"),
    ("8x8x1 > relu:same", "same", "relu has no option 'same'", "name=stem"),
    ("8x8x1 > fc", "", "fc needs its number of units", "10"),
    ("8x8x1 > fcten", "fcten", "'fcten' is not a layer", "fc10"),
    ("8x8x1 > dropout2", "dropout2", "rate must be a number, at least 0 and below 1; it is 2", "dropout0.5"),
    ("8x8x1 > dropouts", "dropouts", "did you mean 'dropout'?", "dropout0.5"),
    ("8x8x1 > fc0", "fc0", "out_features must be an int, at least 1", "fc10"),
    ("8x8x1 > fc3:init=he", "fc3:init=he", "unknown initializer 'he'", "fc10"),
    ("8x8x1 > fc3:lr=1e999", "fc3:lr=1e999", "lr_factor must be a number, at least 0 and finite", "fc10"),
    ("8x8x1 > fc12345678", "12345678", "fc needs its number of units", "10"),
    ("8x8x1 > conv3:4:g3", "conv3:4:g3", "groups must divide", "conv5x5:32"),
    ("8x8x3 > conv3:4:g2", "conv3:4:g2", "groups must divide the input's channels", "groups that divide 3"),
    ("8x8x1 > conv9:4", "conv9:4", "conv1: the window is 9 pixels high but the padded image only 8", "at most 8x8"),
    ("8x8x1 > conv3:4 maxpool7", "maxpool7", "pool1: the window is 7 pixels high", "at most 6x6"),
    ("8x8x1 > [maxpool2]*4", "maxpool2]*4", "pool4: the window is 2 pixels high", "at most 1x1"),
    ("8x8x1 > fc3 > conv3:4", "conv3:4", "a convolution takes (height, width, channels)", "fc10"),
    ("8x8x1 > [relu", "[relu", "this bracket is never closed", "[conv3x3:32 relu]*2"),
    ("8x8x1 > relu] fc3", "] fc3", "this bracket was never opened", "fc10"),
    ("8x8x1 > []*2", "]*2", "there is no layer between the brackets", "fc10"),
    ("8x8x1 > [relu] fc3", " fc3", "a bracket must be followed by the number of repetitions", "*2"),
    ("8x8x1 > [relu]", "", "a bracket must be followed by", "*2"),
    ("8x8x1 > [relu]*0", "*0", "a number from 1 to 1,000", "*2"),
    ("8x8x1 > [relu]* fc3", "* fc3", "a number from 1 to 1,000", "*2"),
    ("8x8x1 > relu*2", "*2", "a repetition count must follow a bracket", "[relu]*2"),
    ("8x8x1 > [relu]*1001", "]*1001", "at most 1,000 layers, repetitions counted", ""),
    ("8x8x1 > [[[relu]*99]*99]*9", "]*99]*9", "at most 1,000 layers", ""),
    ("8x8x1 > [relu]*600 [tanh]*600", "[tanh]*600", "at most 1,000 layers", ""),
    ("8x8x1 > [relu]*99999999999999999999", "*9999", "a number from 1 to 1,000", "*2"),
    ("8x8x1 > " + "[" * 51 + "relu", "[relu", "at most 50 deep", ""),
    ("8x8x1 > relu:name=a tanh:name=a", "tanh:name=a", "two layers are named 'a'", "name=other"),
    ("8x8x1 > [relu:name=a]*2", "relu:name=a]*2", "two layers are named 'a'", "name=other"),
    ("8x8x1 > conv1:1:name=conv2 conv1:1", "conv1:1", "two layers are named 'conv2'", "name=other"),
    ("8x8x1 > relu:name=flatten1 fc3", "fc3", "two layers are named 'flatten1'", "name=other"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "place", "reason", "expected"), MISTAKES)
def test_a_mistake_is_shown_at_its_place(text: str, place: str, reason: str, expected: str) -> None:
    with pytest.raises(NotationError, match=re.escape(reason)) as caught:
        network(text)
    first, shown, caret, could = str(caught.value).split("\n")
    assert first.startswith("notation: ")
    assert reason in first
    column = caret.index("^")
    assert shown[column:].startswith(place), (shown, caret)
    assert could.startswith("  expected here, for example: ")
    assert expected in could
    if not shown.startswith("  …"):
        assert f"(character {column - 1})" in first


def test_an_automatic_name_is_like_any_other() -> None:
    # A name counts within its kind only, so this stands for no mistake.
    model = network("8x8x1 > relu:name=flatten2 fc3")
    assert [layer.name for layer in model.layers] == ["flatten2", "flatten1", "fc1"]


def test_no_text_and_too_much_text() -> None:
    with pytest.raises(ArgumentError, match="a network's notation must be a string; it is int"):
        network(3)  # type: ignore[arg-type]
    with pytest.raises(NotationError, match="at most 100,000 characters; it has 100,001"):
        network("4 >" + " " * 99_998)
    with pytest.raises(NotationError, match="at most 1,000 layers"):
        network("4 " + "relu " * 10_000)


def test_a_long_text_is_shown_around_the_place() -> None:
    with pytest.raises(NotationError, match="did you mean 'tanh'") as caught:
        network("4 > " + "relu " * 50 + "tnah " + "relu " * 50)
    _, shown, caret, _ = str(caught.value).split("\n")
    assert shown.startswith("  …")
    assert shown.endswith("…")
    assert len(shown) <= 100
    assert shown[caret.index("^") :].startswith("tnah")


def test_line_ends_are_shown_as_spaces() -> None:
    with pytest.raises(NotationError, match="is not a layer") as caught:
        network("8x8x1\n\trelu:name=a\r\n > 卷积")
    _, shown, caret, _ = str(caught.value).split("\n")
    assert shown == "  8x8x1  relu:name=a   > 卷积"
    assert caret.index("^") == shown.index("卷")


def test_wide_characters_take_two_columns() -> None:
    error = str(at("卷积 tnah", 3, "no layer", ["tanh"])).split("\n")
    assert error[1:3] == ["  卷积 tnah", "       ^"]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.one_of(
        st.text(max_size=40),
        st.lists(
            st.sampled_from(
                ["8x8x1", ">", " ", "[", "]", "*2", "*", "conv3:4", "relu", "fc3", ":", "s2", "x", "-", "9"]
            ),
            max_size=14,
        ).map("".join),
    )
)
def test_any_text_is_a_network_or_a_mistake(text: Any) -> None:
    try:
        model = network(text)
    except NotationError as error:
        lines = len(str(error).split("\n"))
    else:
        lines = 4
        assert str(network(str(model))) == str(model)
    assert lines == 4
