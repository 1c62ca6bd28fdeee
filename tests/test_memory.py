"""What would take more memory than is left is refused before it is taken, in a line that names the layer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import rot180
import rot180.inside.comparison
from rot180 import kernels, memory, ops
from rot180.engine import make_engine
from rot180.errors import TooLargeError
from rot180.nn import network
from rot180.nn.loss import CrossEntropyLoss

GIGABYTE = 10**9


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    """One gigabyte is left."""
    for name in ("rot180.memory", "rot180.kernels.memory"):
        monkeypatch.setattr(f"{name}.available_memory", lambda: GIGABYTE)


@pytest.mark.usefixtures("little")
def test_parameters_are_counted_before_they_are_drawn() -> None:
    message = (
        r"^fc2: a network of 133,\d{3},\d{3} parameters needs 1\.\d\d GB of memory, but 1\.00 GB are available; choose"
    )
    with pytest.raises(TooLargeError, match=message):
        network("8x8x1 > fc13000 > fc10200").build()


@pytest.mark.usefixtures("little")
@pytest.mark.parametrize(
    ("text", "count", "layer"),
    [
        ("4000x4000x1 > conv3x3:64:same relu > maxpool4000x4 > fc2", 1, "conv1"),
        ("30x30x1 > conv3x3:64:same relu conv3x3:1024 > maxpool26 > fc2", 512, "conv2"),
        ("2000x2000x8 > avgpool2:s1 > avgpool1000 > fc2", 5, "pool1"),
        ("2x2x1 > fc20 > fc90000 > fc2", 4000, "fc2"),
        ("8x8x1 > conv1x1:4:pad8000 > maxpool4000 > fc2", 1, "conv1"),
        ("3x5x16 > conv4x1:16:pad9999999:s2 tanh flatten", 1, "flatten1"),
        ("3x5x16 > conv4x1:16:pad9999999:s2 tanh flatten", 0, "flatten1"),
    ],
)
@pytest.mark.parametrize("engine", ["compiled", "numpy"])
def test_what_a_layer_needs_is_counted_before_it_is_taken(text: str, count: int, layer: str, engine: str) -> None:
    model = network(text).build()
    images = np.broadcast_to(np.float32(0), (count, *model.input_shape))
    with pytest.raises(
        TooLargeError, match=rf"^(the input of )?{layer}\b.* of memory, but .* GB are available; choose a smaller batch"
    ):
        rot180.predict(model, images, batch_size=count, engine=engine)


@pytest.mark.usefixtures("little")
@pytest.mark.parametrize("layer", ["relu1", "bn1", "gn1", "prelu1", "shuffle1", "dropout1", "add1", "multiply1"])
def test_numpy_counts_layers_that_keep_the_size(layer: str) -> None:
    words = {"gn1": "gn2", "shuffle1": "shuffle2", "add1": "( skip + skip )", "multiply1": "( skip * skip )"}
    model = network(f"2000x2000x8 > {words.get(layer, layer[:-1])} gap > fc2").build()
    images = np.broadcast_to(np.float32(0), (12, *model.input_shape))
    with pytest.raises(TooLargeError, match=rf"^{layer} needs 1\.54 GB of memory, but 1\.00 GB are available"):
        model.forward(images, training=True, generator=np.random.default_rng(0))


@pytest.mark.usefixtures("little")
def test_numpy_does_not_count_what_is_passed_on() -> None:
    model = network("2000x2000x8 > dropout gap > fc2").build()
    images = np.broadcast_to(np.float32(0), (12, *model.input_shape))
    first = next(iter(model.walk(images)))
    assert first.y is images


@pytest.mark.usefixtures("little")
def test_a_plan_is_counted_as_a_whole() -> None:
    """No buffer is too large for itself; what a training step keeps is."""
    model = network("100x100x8 > [conv3x3:8:same relu]*20 > maxpool50 > fc2").build()
    from rot180.engine import make_engine
    from rot180.nn.loss import CrossEntropyLoss

    engine = make_engine("compiled", model, CrossEntropyLoss())
    with pytest.raises(
        TooLargeError, match=r"^conv\d+ relu\d+ needs 0\.\d\d GB of memory, but 0\.\d\d GB are available"
    ):
        engine.plan(256)  # type: ignore[attr-defined]


@pytest.mark.usefixtures("little")
@pytest.mark.parametrize("room", [ops, kernels])
@pytest.mark.parametrize(
    ("name", "shapes", "options"),
    [
        ("conv2d", [(1, 9, 9, 1), (1, 1, 1, 2)], {"padding": 20_000}),
        ("conv2d", [(1, 9, 9, 1), (1, 1, 1, 2)], {"padding": 2**29}),
        ("conv2d", [(1, 3000, 3000, 1), (2, 2, 1, 64)], {}),
        ("linear", [(20_000, 1), (1, 20_000)], {}),
        ("max_pool2d", [(1, 9, 9, 40), 3000], {"padding": 2999, "stride": 1}),
    ],
)
def test_operations_count_too(room: object, name: str, shapes: list[object], options: dict[str, object]) -> None:
    arguments = [np.zeros(shape, np.float32) if isinstance(shape, tuple) else shape for shape in shapes]
    with pytest.raises(TooLargeError, match=r"^(conv2d|the padded image|a buffer|linear|max_pool2d) needs [\d.,]+ GB"):
        getattr(room, name)(*arguments, **options)


@pytest.mark.usefixtures("little")
@pytest.mark.parametrize(
    ("name", "shapes", "options"),
    [
        ("resize2d", [(1, 9, 9, 1), (20_000, 20_000)], {}),
        ("resize2d", [(1, 9, 9_000, 4), (20_000, 1)], {"mode": "bilinear"}),
        ("adaptive_avg_pool2d", [(1, 9, 9, 1), (20_000, 20_000)], {}),
        ("conv_transpose2d", [(1, 9, 9, 1), (1, 1, 1, 1)], {"stride": 3_000}),
        ("im2col", [(1, 3_000, 3_000, 1), 8], {"method": "indices"}),
    ],
)
def test_operations_that_enlarge_count_too(name: str, shapes: list[object], options: dict[str, object]) -> None:
    arguments = [np.zeros(shape, np.float32) if len(np.shape(shape)) and len(shape) == 4 else shape for shape in shapes]
    with pytest.raises(TooLargeError, match=rf"^{name} needs [\d.,]+ GB"):
        getattr(ops, name)(*arguments, **options)


@pytest.mark.usefixtures("little")
@pytest.mark.parametrize("room", [ops, kernels])
def test_a_value_that_is_concatenated_many_times(room: object) -> None:
    x = np.zeros((1, 100, 100, 10), np.float32)
    with pytest.raises(TooLargeError, match=r"^concatenate needs 1\.20 GB"):
        room.concatenate(*[x] * 3000)  # type: ignore[attr-defined]
    grown = "; ".join(f"c{number} = concat({', '.join([f'c{number - 1}'] * 1000)})" for number in range(1, 8))
    model = network(f"2x2x1; c0 = relu(input); {grown}; g = gap(c7)").build()
    for engine in ("numpy", "compiled"):
        with pytest.raises(TooLargeError, match=r"^c\d\b.* needs [\d.,]+ GB of memory, but"):
            make_engine(engine, model, CrossEntropyLoss()).forward(np.zeros((1, 2, 2, 1), np.float32))


@pytest.mark.usefixtures("little")
def test_comparing_the_ways_of_a_convolution_counts_too() -> None:
    model = network("8x8x1 > conv1x1:4:pad3000 > maxpool4000 > fc2").build()
    with pytest.raises(TooLargeError, match=r"^conv1 needs 18\.\d\d GB of memory, but 1\.00 GB are available"):
        rot180.inside.comparison.compare(model)


def test_numpy_s_own_memory_error_names_the_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise MemoryError("Unable to allocate 59.6 GiB")

    model = network("4x4x1 > conv3x3:2 relu > fc2").build()
    monkeypatch.setattr("rot180.nn.conv2d.conv2d", full)
    with pytest.raises(TooLargeError, match=r"^conv1: Unable to allocate 59\.6 GiB; choose a smaller batch, image or"):
        model(np.zeros((1, 4, 4, 1), np.float32))


@pytest.mark.skipif(sys.platform != "linux", reason="a limit of Linux")
def test_a_limit_of_the_process_is_seen() -> None:
    code = (
        "import resource; from rot180.memory import available_memory as left\n"
        "resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))\n"
        "print(0 < left() < 3 << 30)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "True\n"


def test_a_container_s_limit_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    group = tmp_path / "sys/fs/cgroup"
    group.mkdir(parents=True)
    monkeypatch.setattr(memory, "Path", lambda path: tmp_path / str(path).lstrip("/"))
    assert not list(memory._of_container())
    for name, text in (("max", "max"), ("current", "700"), ("stat", "anon 500\ninactive_file 150\n")):
        (group / f"memory.{name}").write_text(text)
    assert not list(memory._of_container())
    (group / "memory.max").write_text("1000\n")
    assert list(memory._of_container()) == [450]


def test_the_figures_of_other_systems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "Path", lambda path: tmp_path / str(path).lstrip("/"))
    built_in = {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(memory, "os", SimpleNamespace(sysconf=built_in.__getitem__, sysconf_names=built_in))
    assert list(memory._of_machine()) == [1000 * 4096]  # macOS
