"""PyTorch's checkpoints: what a file describes is read, and nothing that is not within it."""

from __future__ import annotations

import struct
import zipfile

import numpy as np
import pytest

from rot180.errors import ModelError
from rot180.interop.weight_file import open_weights

ARRAYS = {
    "conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2),
    "bn.num_batches_tracked": np.array(7),
    "half": np.array([1.5, -2], np.float16),
    "double": np.linspace(0, 1, 3),
    "empty": np.zeros((0, 3), np.float32),
}


def read(path):
    with open_weights(path) as weights:
        return {name: array.read() for name, array in weights.arrays.items()}


def write(tmp_path, content):
    path = tmp_path / "a.pth"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("container", ["zipped", "in_sequence"])
@pytest.mark.parametrize("wrapped", ["alone", "training", "module"])
def test_both_containers_with_the_weights_anywhere(tmp_path, torch_files, container, wrapped):
    value = weights = torch_files.described(ARRAYS)
    if wrapped == "training":
        settings = torch_files.Called(torch_files.Global("argparse", "Namespace"), (), {"lr": 0.1, "seed": 2**40})
        value = {"args": settings, "epoch": 3, "optimizer": {"state": {0: {"step": None}}}, "state_dict": weights}
    if wrapped == "module":  # torch.save(model): a network with an inner part
        part = torch_files.Global("torch.nn.modules.conv", "Conv2d")
        own = {"_parameters": {"weight": weights.pop("conv.weight"), "bias": None}, "_modules": {}, "training": True}
        state = {"_parameters": weights, "_modules": {"conv": torch_files.Called(part, (), own)}, "_buffers": {}}
        value = torch_files.Called(torch_files.Global("my.own", "Net"), (), state)
    found = read(write(tmp_path, getattr(torch_files, container)(value, ARRAYS)))
    assert set(found) == {"conv.weight", "half", "double", "empty"}  # counters are left out
    for name, array in found.items():
        assert array.dtype == (np.float64 if name == "double" else np.float32)
        np.testing.assert_array_equal(array, ARRAYS[name])


def test_views_of_one_storage(tmp_path, torch_files):
    whole = np.arange(12, dtype=np.float32)
    base = torch_files.tensor("0", whole).arguments[0]

    def view(offset, shape, strides):
        name = torch_files.Global("torch._utils", "_rebuild_tensor_v2")
        return torch_files.Called(name, (base, offset, shape, strides, False, None))

    value = {"transposed": view(0, (4, 3), (1, 4)), "tail": view(10, (2,), (1,)), "column": view(1, (3,), (4,))}
    found = read(write(tmp_path, torch_files.zipped(value, {"0": whole})))
    np.testing.assert_array_equal(found["transposed"], whole.reshape(3, 4).T)
    np.testing.assert_array_equal(found["tail"], [10, 11])
    np.testing.assert_array_equal(found["column"], [1, 5, 9])


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        (11, (2,), (1,)),
        (0, (13,), (1,)),
        (0, (4, 4), (4, 1)),
        (0, (3,), (6,)),
        (0, (10**6, 10**6), (0, 0)),  # a view that repeats one number is not materialized
        (2**60, (1,), (1,)),
        (-1, (1,), (1,)),
        (0, (2,), (-1,)),
        (0, (-2,), (1,)),
        (0, (1.5,), (1,)),
        (0, (1,), (1, 1)),
        (0, "abc", (1,)),
    ],
)
def test_an_array_beyond_its_storage_is_refused(tmp_path, torch_files, offset, shape, strides):
    whole = np.arange(12, dtype=np.float32)
    base = torch_files.tensor("0", whole).arguments[0]
    made = torch_files.Called(torch_files.Global("torch._utils", "_rebuild_tensor_v2"), (base, offset, shape, strides))
    with pytest.raises(ModelError, match=r"expected|is not within its storage|axes and|numbers"):
        read(write(tmp_path, torch_files.zipped({"a": made}, {"0": whole})))


def test_nothing_is_imported_or_called(tmp_path, torch_files, capsys):
    harm = torch_files.Called(torch_files.Global("builtins", "print"), ("harm",))
    weights = torch_files.described({"a": np.ones(2, np.float32)})
    path = write(tmp_path, torch_files.zipped({"x": harm, "state_dict": weights}, {"0": np.ones(2, np.float32)}))
    np.testing.assert_array_equal(read(path)["a"], [1, 1])
    assert capsys.readouterr().out == ""


def in_zip(torch_files, data, **entries):
    import io

    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x/data.pkl", data)
        for name, content in entries.items():
            archive.writestr(f"x/{name}", content)
    return file.getvalue()


@pytest.mark.parametrize(
    ("operations", "match"),
    [
        (b"(" * 600_000 + b".", "at most 500,000 operations"),
        (b"\x80\x02]", "cut off|damaged"),
        (b"\x80\x02i__main__\nX\n.", "INST|damaged"),
        (b"\x80\x02h\x07.", "a reference to nothing"),
        (b"\x80\x02t.", "damaged"),
        (b"\x80\x02(.", "a value is missing"),
        (b"\x80\x02}.", "no table of weights"),
        (b"\x80\x02]" + b"\x85" * 100_000 + b"}q\x00h\x00.", "no table of weights"),
        (b"\x80\x02X\x08\x00\x00\x00elsewhereQ.", "description of a storage|damaged"),
        (b"\x80\x82\xff.", "EXT1|damaged"),
    ],
)
def test_operations_outside_the_table(tmp_path, torch_files, operations, match):
    with pytest.raises(ModelError, match=match):
        read(write(tmp_path, in_zip(torch_files, operations)))


@pytest.mark.parametrize("whole", [False, True])
def test_what_is_referred_to_from_everywhere_is_looked_at_once(tmp_path, torch_files, whole):
    # ten levels of a hundred references each: a tree of 10^20 tables, or of as many parts of a network
    operations = b"\x80\x02}q\x00"
    for level in range(10):
        place, below = bytes([level + 1]), bytes([level])
        items = b"".join(b"U" + bytes([1, 65 + k % 26]) + b"h" + below for k in range(26))
        operations += b"}(" + items + b"uq" + place
        if whole:
            state = b"}(U\x08_moduleshU".replace(b"hU", b"h" + place) + b"u"
            operations += b"cmy\nNet\n)R" + state + b"bq" + place
    with pytest.raises(ModelError, match="no table of weights"):
        read(write(tmp_path, in_zip(torch_files, operations + b".")))


def test_a_deep_tuple_as_a_key_is_not_hashed(tmp_path, torch_files):
    # hashing it would overflow the interpreter's stack
    operations = b"\x80\x02})" + b"\x85" * 100_000 + b"Ns."
    with pytest.raises(ModelError, match="no table of weights"):
        read(write(tmp_path, in_zip(torch_files, operations)))


def test_damaged_containers(tmp_path, torch_files):
    arrays = {"a": np.arange(1000, dtype=np.float32)}
    value = torch_files.described(arrays)
    good = torch_files.zipped(value, arrays)
    with pytest.raises(ModelError, match="stored as they are"):
        read(write(tmp_path, torch_files.zipped(value, arrays, zipfile.ZIP_DEFLATED)))
    with pytest.raises(ModelError, match="directory is missing"):
        read(write(tmp_path, good[:-30]))
    place = good.index(arrays["a"].tobytes())
    with pytest.raises(ModelError, match="checksum of an entry"):
        read(write(tmp_path, good[:place] + b"\x01" + good[place + 1 :]))
    with pytest.raises(ModelError, match="the storage '0' is missing"):
        read(write(tmp_path, torch_files.zipped(value, {})))
    with pytest.raises(ModelError, match="expected 4,000 bytes in a storage, found 40"):
        read(write(tmp_path, torch_files.zipped(value, {"a": arrays["a"][:10]})))
    with pytest.raises(ModelError, match=r"no data\.pkl"):
        read(write(tmp_path, in_zip(torch_files, b"").replace(b"data.pkl", b"datx.pkl")))
    old = torch_files.in_sequence(value, arrays)
    with pytest.raises(ModelError, match="expected 1,000 numbers in a storage"):
        read(write(tmp_path, old[:-1]))
    place = old.rindex(struct.pack("<q", 1000))
    with pytest.raises(ModelError, match="expected 1,000 numbers in a storage, found 999"):
        read(write(tmp_path, old[:place] + struct.pack("<q", 999) + old[place + 8 :]))


def test_other_files(tmp_path):
    with pytest.raises(ModelError, match=r"expected weights in a \.safetensors file, a PyTorch checkpoint"):
        read(write(tmp_path, b"<html>not found</html>"))
    with pytest.raises(ModelError, match="there is no such file"):
        read(tmp_path / "missing.pth")
    with pytest.raises(ModelError, match="Is a directory"):
        read(tmp_path)
