"""No reader takes more than 256 MB beyond the data that it returns, whatever a file claims: all in one process."""

from __future__ import annotations

import gzip
import json
import math
import os
import struct
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="the peak of memory is read from /proc"
)

READ = """
import json, sys
from pathlib import Path

from rot180.data import load_data
from rot180.data.image import read_image
from rot180.data.options import ImageOptions
from rot180.errors import DataError


def status(name):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(name)) * 1024


load_data(sys.argv[1])  # what is loaded once
found = {}
for path in map(Path, sys.argv[2:]):
    Path("/proc/self/clear_refs").write_text("5")
    before, held, said = status("VmRSS"), 0, ""
    try:
        if path.parent.name == "images":
            held = read_image(path, (64, 64, 3)).nbytes
        else:
            data = load_data(path, ImageOptions(workers=8))
            held = sum(getattr(some, "nbytes", 0) for some in (data.train_images, data.test_images))
            data = None
    except DataError as error:
        said = str(error)
    found[path.name] = [(status("VmHWM") - before) / 1024**2, held / 1024**2, said]
print(json.dumps(found))
"""


def bombs(folder: Path) -> dict[str, str]:
    """Write files that are small and claim much; return what is said of each, empty for one that is read."""
    folder.mkdir()
    said: dict[str, str] = {}

    def write(name: str, content: bytes, expected: str = "") -> None:
        said[name] = expected
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)

    rows = b"".join(b"%d" % (k % 2) + b",0" * 784 + b"\n" for k in range(200))
    write("zeros.csv.gz", gzip.compress(rows * 50, 1))
    write("line.csv.gz", gzip.compress(b"0," * 10_000_000, 1), "a line of at most 16777216 bytes")
    write("columns.csv", b"0," * 3_000_000 + b"0\n", "at most 1048592 columns")
    write("labels.csv", b"".join(b"%d,0,1,2,3\n" % k for k in range(101_000)), "at most 100000 different labels")
    write("pixels.csv", b"0,1\n1,2\n" * 150_000)
    write("nested.csv.gz", gzip.compress(gzip.compress(rows)), "a gzip file inside a gzip file")
    (folder / "idx").mkdir()
    header = struct.pack(">HBB3I", 0, 8, 3, 50_000_000, 6, 6)
    for part in ("train", "t10k"):
        (folder / "idx" / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(header + bytes(20_000_000)))
        (folder / "idx" / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">HBBI", 0, 8, 1, 1) + b"\0")
    said["idx"] = "found at most|expected 1800000000 bytes"
    for name, shapes, expected in (
        ("single.npz", [(60_000_000, 1, 1), (60_000_000,)], "at most 4000000 images"),
        ("many.npz", [(2_000_000, 1, 1), (2_000_000,)], ""),
        ("one-hot.npz", [(2000, 2, 2), (2000, 70_000)], "134217728 of labels"),
    ):
        with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
            for array, shape in zip(("images", "labels"), shapes, strict=True):
                text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
                file.writestr(f"{array}.npy", b"\x93NUMPY\1\0\x76\0" + text.encode() + bytes(math.prod(shape)))
        said[name] = expected
    wide = np.zeros((20_000, 3, 16, 16), np.float32)
    np.savez_compressed(folder / "planes.npz", images=wide, labels=np.arange(20_000) % 2)
    np.savez_compressed(folder / "columns.npz", images=np.asfortranarray(wide), labels=np.arange(20_000) % 2)
    said |= {"planes.npz": "", "columns.npz": ""}
    header = tarfile.TarInfo("long")
    header.type, header.size = tarfile.XHDTYPE, 60_000_000
    write("cifar-10-binary.tar.gz", gzip.compress(header.tobuf() + bytes(header.size), 1), "a header claims 6000")
    exif = Image.Exif()
    exif[0x0112] = 6
    (folder / "images").mkdir()
    for name, mode, size, options, expected in (
        ("large.webp", "RGB", (4200, 4200), {"method": 0}, "can be decoded in 224 MB"),
        ("progressive.jpg", "RGB", (6200, 6200), {"progressive": True, "subsampling": 0}, "can be decoded in 224 MB"),
        ("turned.png", "RGBA", (5800, 5900), {"exif": exif, "compress_level": 1}, ""),
        ("sixteen.png", "I;16", (5000, 5000), {"exif": exif, "compress_level": 1}, ""),
        ("gray.gif", "P", (5000, 5000), {}, ""),
        ("strips.tif", "RGB", (4000, 4000), {"compression": "tiff_lzw"}, ""),
    ):
        Image.new(mode, size).save(folder / "images" / name, **options)
        said[f"images/{name}"] = expected
    for name, most in (("whole.webp", 64), ("whole.avif", 64), ("comments.png", 224), ("pages.tif", 224)):
        try:
            Image.new("RGB", (16, 16)).save(folder / "images" / name)
        except (KeyError, OSError):  # Pillow without AVIF
            continue
        content = bytearray((folder / "images" / name).read_bytes())
        if name.endswith("webp"):
            content[4:8] = struct.pack("<I", 600_000_000 - 8)
        (folder / "images" / name).write_bytes(content)
        os.truncate(folder / "images" / name, 600_000_000)  # sparse: it takes no room on the disk
        said[f"images/{name}"] = f"an image file of at most {most} MB, found 572 MB"
    Image.new("RGB", (16, 16)).save(folder / "images" / "canvas.webp", exif=exif)  # the extended form
    content = bytearray((folder / "images" / "canvas.webp").read_bytes())
    content[24:30] = (15_908).to_bytes(3, "little") + (7_729).to_bytes(3, "little")
    (folder / "images" / "canvas.webp").write_bytes(content)
    said["images/canvas.webp"] = "at most 50 megapixels, found 15909 x 7730"
    for number in range(4):
        path = folder / "photos" / "ab"[number % 2] / f"{number}.webp"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (2900, 2900), (200, 100, 250)).save(path, method=0)
    said["photos"] = ""
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ModuleNotFoundError:
        return said
    # Repeated a thousand times in two kilobytes; as a table in memory it is written from a dictionary, too.
    zeros = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * 2000, pyarrow.int32()), [bytes(1_000_000)])
    for name, images, expected in (
        ("repeated.parquet", pyarrow.StructArray.from_arrays([zeros], ["bytes"]), "nothing but zero bytes"),
        ("plain.parquet", zeros, "nothing but zero bytes"),
        ("rows.parquet", pyarrow.array([b"x"] * 1_000_000), "at most 900000 images"),
        ("lists.parquet", pyarrow.array([[0] * 784] * 3000, pyarrow.list_(pyarrow.uint8())), ""),
    ):
        table = pyarrow.table({"image": images, "label": [k % 2 for k in range(len(images))]})
        parquet.write_table(table, folder / name, compression="zstd", store_schema=False)
        said[name] = expected
    long = pyarrow.array(["0" * 1_000_000 + str(k) for k in range(150)])
    table = {"label": long, "p0": [0] * 150, "p1": [1] * 150, "p2": [2] * 150, "p3": [3] * 150}
    options = {"compression": "zstd", "use_dictionary": False, "write_statistics": False, "store_schema": False}
    parquet.write_table(pyarrow.table(table), folder / "words.parquet", **options)
    parquet.write_table(pyarrow.table({"label": long, "image": [b"x"] * 150}), folder / "names.parquet", **options)
    said |= dict.fromkeys(("words.parquet", "names.parquet"), "label: expected at most 134217728 bytes in a row group")
    return said


def test_no_reader_takes_more_than_256_mb_beyond_the_data(tmp_path: Path) -> None:
    said = bombs(tmp_path / "bombs")
    command = [sys.executable, "-c", READ, "digits", *(str(tmp_path / "bombs" / name) for name in said)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    assert len(found) == len(said)
    for name, expected in said.items():
        peak, held, message = found[Path(name).name]
        assert bool(message) == bool(expected), f"{name}: {message}"
        assert not expected or any(part in message for part in expected.split("|")), f"{name}: {message}"
        assert peak - held < 256, f"{name}: {peak:.0f} MB for {held:.0f} MB of images"
