"""Image files: the answers of `rot180 predict`, and what a decision hung on."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asking import Server
from PIL import Image
from safetensors.numpy import load

import rot180
from rot180.cli import main
from rot180.errors import ArgumentError
from rot180.inside import attribution
from rot180.serve.form import read_form
from rot180.serve.pictures import look
from rot180.serve.served import Served


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Images of many kinds: of a digit's size and others, gray, in color, transparent, dark, and one that is none."""
    folder, draw = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    made: dict[str, Any] = {
        "digit.png": Image.fromarray((rot180.load_data("digits").test_images[0, :, :, 0] * 15).astype(np.uint8)),
        "dark.png": Image.fromarray(rot180.load_data("digits").test_images[1, :, :, 0].astype(np.uint8)),
        "photo.jpg": Image.fromarray(draw.integers(256, size=(50, 70, 3), dtype=np.uint8)),
        "clear.png": Image.fromarray(draw.integers(256, size=(9, 9, 4), dtype=np.uint8)),
        "bits.bmp": Image.fromarray(draw.integers(256, size=(20, 20), dtype=np.uint8)).convert("1"),
        "lossless.webp": Image.fromarray(draw.integers(256, size=(16, 16, 3), dtype=np.uint8)),
    }
    for name, image in made.items():
        image.save(folder / name)
    (folder / "none.png").write_bytes(b"not an image")
    return [*(folder / name for name in made), folder / "none.png"]


@pytest.mark.parametrize("name", ["digits", "colors"])
def test_answers_are_those_of_the_command(
    server: Server, folder: Path, pictures: list[Path], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(folder / f"{name}.safetensors"), *map(str, pictures), "--json", "--top", "9"]) == 2
    printed = json.loads(capsys.readouterr().out)
    for path in pictures[:-1]:
        told = server.json("POST", f"/predict?model={name}&top=9", path.read_bytes())
        (expected,) = (one for one in printed["predictions"] if one["image"] == str(path))
        assert told["model"] == name
        assert told["predictions"] == [expected | {"image": "the body"}]
    status, _, answer = server.ask("POST", "/predict", pictures[-1].read_bytes())
    assert status == 400
    assert "expected an image" in json.loads(answer)["failed"][0]["error"]


def _form(files: list[tuple[str, bytes]], boundary: str = "----x--y") -> tuple[bytes, str]:
    body = b"".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="f"; filename="{name}"\r\n'
        f"Content-Type: image/png\r\n\r\n".encode()
        + data
        + b"\r\n"
        for name, data in files
    )
    field = f'--{boundary}\r\nContent-Disposition: form-data; name="note"\r\n\r\nhello\r\n'.encode()
    return field + body + f"--{boundary}--\r\n".encode(), f'multipart/form-data; boundary="{boundary}"'


def test_a_form_holds_several_files(server: Server, pictures: list[Path]) -> None:
    body, kind = _form([(path.name, path.read_bytes()) for path in pictures])
    told = server.json("POST", "/predict?top=all", body, Content_Type=kind)
    assert [one["image"] for one in told["predictions"]] == [path.name for path in pictures[:-1]]
    assert [one["image"] for one in told["failed"]] == ["none.png"]
    assert all(len(one["top"]) == 10 for one in told["predictions"])
    for path, one in zip(pictures, told["predictions"], strict=False):
        alone = server.json("POST", "/predict?top=10", path.read_bytes())["predictions"][0]
        assert alone["top"] == one["top"]


def test_a_form_is_read_to_the_byte() -> None:
    draw = np.random.default_rng(0)
    files = [(f"{number}.bin", draw.bytes(int(draw.integers(3000)))) for number in range(30)]
    files += [("empty", b""), ("ends", b"\r\n"), ("mark", b"--x\r\n--x--"), ("dashes", b"\r\n--"), ("雪.png", b"1")]
    body, kind = _form(files)
    assert read_form(body, kind) == files


@pytest.mark.parametrize(
    ("body", "kind", "reason"),
    [
        (b"", "multipart/form-data", "a form must name its boundary"),
        (b"", "multipart/form-data; boundary=", "a form must name its boundary"),
        (b"", f"multipart/form-data; boundary={'x' * 80}", "a form must name its boundary"),
        (b"--y\r\n", "multipart/form-data; boundary=x", "the form does not begin with its boundary"),
        (b"--x--\r\n", "multipart/form-data; boundary=x", "the form has no file"),
        (b"--x", "multipart/form-data; boundary=x", "the form ends in the middle"),
        (b"--x\r\n\r\nabc", "multipart/form-data; boundary=x", "the form ends in the middle"),
        (
            b"--x\r\nA: " + b"b" * 9000 + b"\r\n\r\n\r\n--x--",
            "multipart/form-data; boundary=x",
            "no end to its headers",
        ),
        (_form([("a", b"1")] * 300, "x")[0], "multipart/form-data; boundary=x", "a form may have 256 files"),
    ],
)
def test_what_is_no_form_is_refused(body: bytes, kind: str, reason: str) -> None:
    with pytest.raises(ArgumentError, match=reason):
        read_form(body, kind)


@pytest.mark.parametrize(
    ("path", "body", "status", "reason"),
    [
        ("/predict", b"", 400, "the body is empty"),
        ("/predict?model=none", b"x", 404, "no network is called 'none'; known: colors, digits, maps"),
        ("/predict?model=maps", b"x", 400, "maps returns maps (6, 6, 2), not classes; send tensors"),
        ("/predict?top=0", b"x", 400, "top must be a whole number from 1, or all; it is '0'"),
        ("/predict?top=-1", b"x", 400, "top must be"),
        ("/predict?top=%00", b"x", 400, "top must be"),
        ("/reasons?class=20", b"x", 400, "digits has no class '20'"),
        ("/reasons?class=", b"x", 400, "digits has no class ''"),
        ("/look", b"x", 400, "expected an image"),
    ],
)
def test_what_cannot_be_answered_is_refused(server: Server, path: str, body: bytes, status: int, reason: str) -> None:
    found, _, answer = server.ask("POST", path, body)
    assert found == status
    assert reason in json.loads(answer)["error"]


def test_the_page_is_told_what_the_network_sees_and_what_its_layers_make_of_it(server: Server) -> None:
    drawn = np.random.default_rng(3).integers(256, size=(24, 20, 3), dtype=np.uint8)
    file = BytesIO()
    Image.fromarray(drawn).save(file, "PNG")
    status, _, body = server.ask("POST", "/look?model=colors", file.getvalue())
    assert status == 200
    arrays = load(body)
    assert arrays["image"].shape == (1, 12, 12, 3)
    assert 0 <= arrays["image"].min() < arrays["image"].max() <= 1
    header = json.loads(body[8 : 8 + int.from_bytes(body[:8], "little")])
    layers = json.loads(header["__metadata__"]["layers"])
    assert [layer["name"] for layer in layers] == ["conv1", "bn1", "relu1", "conv2", "relu2"]
    for layer in layers:
        height, width, channels = layer["shape"]
        assert arrays[layer["name"]].shape == (channels, height, width)
        assert np.abs(arrays[layer["name"]]).max() == np.float32(layer["largest"])


def test_of_large_maps_every_second_row_is_shown_and_of_many_the_first() -> None:
    model = rot180.network("100x80x1 > conv1x1:14 relu > gap > fc2").build(seed=0)
    file = BytesIO()
    image = np.random.default_rng(4).integers(256, size=(100, 80), dtype=np.uint8)
    Image.fromarray(image).save(file, "PNG")
    body = look(file.getvalue(), "x", Served("x", model))
    header = json.loads(body[8 : 8 + int.from_bytes(body[:8], "little")])
    layer = json.loads(header["__metadata__"]["layers"])[0]
    assert (layer["shape"], layer["step"]) == ([100, 80, 14], 2)
    assert load(body)["conv1"].shape == (12, 50, 40)


def test_the_reasons_are_those_of_attribution(server: Server, folder: Path) -> None:
    model = rot180.load_model(folder / "digits.safetensors")
    image = (rot180.load_data("digits").test_images[4] * 15).astype(np.uint8)
    file = BytesIO()
    Image.fromarray(image[:, :, 0]).save(file, "PNG")
    found = server.json("POST", "/reasons?class=7", file.getvalue())
    expected = attribution(model, image, 7)
    assert found["layer"] == expected.layer
    for key in ("saliency", "grad_cam", "occlusion"):
        np.testing.assert_array_equal(np.array(found[key]), np.asarray(getattr(expected, key), np.float64))
    assert server.metric("rot180_waiting_images") == 0
