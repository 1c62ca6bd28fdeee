"""Programs of one file: every layer, what they hold, and what they refuse."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys

import named_programs
import numpy as np
import pytest

import rot180
from rot180.errors import ArgumentError, ModelError, TooLargeError
from rot180.interop.standalone import export_c, export_page, export_python, numpy_program, python_file
from rot180.interop.standalone.examples import TOLERANCE, example_images, examples_of
from rot180.interop.standalone.layers import WRITERS
from rot180.interop.standalone.operation import program_of
from rot180.interop.standalone.weights import evaluate, quantized
from rot180.nn.registry import LAYERS

NETWORKS = {
    "convolutions": "9x8x3 > conv3x3:4:same relu > conv3x2:6:s2x1:pad1,0,2,1 tanh > conv1x1:4:nobias relu6 > fc5",
    "dilated groups": "11x10x4 > conv3x3:8:d2:g2 leakyrelu > conv3x3:8:g8:pad1 bn prelu > conv3x3:8:same:s2:g4 > fc3",
    "transposed": "5x6x4 > convt3x2:6:s2x3:pad1x0:outpad1x2:g2 elu:alpha=0.7 > convt2x2:4:d2 silu > gap fc3",
    "pooling": "11x9x2 > maxpool3x2:s2:pad1x0:ceil > avgpool2:s1:pad1 > avgpool3:s2:ceil:pad1:excludepad > fc4",
    "padded means": "7x8x3 > avgpool3:s2:ceil:pad1 > maxpool2:same:s1 > adaptavg3x2 > fc4",
    "resizing": "5x6x3 > up2x3 conv3x3:4 gelu > up2:bilinear gelu:tanh > adaptavg5x4 hardswish > gmp fc3",
    "normalization": "6x5x8 > gn4 > ln hardsigmoid > ln:axes=3 > in:affine > lrn5:alpha=0.1:beta=0.7:k=1.5 > in > fc4",
    "rows": "12 > fc16 bn relu > gn4 prelu:shared > ln sigmoid > bn:noaffine > fc5",
    "channels": "6x6x8 > shuffle4 > slice4:from2 > noisyrelu dropout0.3 droppath0.2 > conv3x3:4:same softmax > fc3",
    "joins": "6x6x4 > ( conv3x3:4:same bn + skip ) relu > ( skip | conv1x1:3 ) > ( skip * gap fc7 sigmoid ) > gap fc4",
    "maps": "6x6x3 > conv3x3:4:same > convt2x2:2:s2",
    "sigmoids": "6x6x1 > fc8 sigmoid > fc3 sigmoid",
    "hard sigmoids": "6x6x1 > fc8 tanh > fc3 hardsigmoid",
    "probabilities": "6x6x1 > fc3 softmax",
    "one number": "1 > fc2",
}


def varied(made):
    """Return a network that is built, with other numbers where layers begin with 0 or 1."""
    made.build(seed=1)
    generator = np.random.default_rng(2)
    for name, array in made.state.items():
        array += (0.3 * generator.uniform(0 if name.endswith("var") else -1, 1, array.shape)).astype(array.dtype)
    return made


@pytest.fixture(scope="module", params=NETWORKS, ids=lambda name: name.replace(" ", "-"))
def model(request):
    return varied(rot180.network(NETWORKS[request.param]))


def test_every_layer_is_written():
    assert set(WRITERS) == set(LAYERS.values())
    words = " ".join(NETWORKS.values())
    used = {type(layer) for text in NETWORKS.values() for layer in rot180.network(text).layers}
    assert used == set(LAYERS.values()), words


def loaded(path):
    spec = importlib.util.spec_from_file_location(f"exported_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def compared(module, model, count=100):
    images, _ = example_images(model, count, seed=5)
    expected = rot180.predict(model, images)
    return np.abs(module.predict(images) - expected).max() / max(1, np.abs(expected).max())


@pytest.mark.filterwarnings("ignore::rot180.errors.PixelWarning", "ignore:.*has no compiled kernel and runs in NumPy")
def test_the_python_file_computes_what_the_network_does(model, tmp_path):
    path = tmp_path / "predict.py"
    program = program_of(model, "test")
    path.write_text(python_file.python_text(program, examples_of(model)), encoding="ascii")
    module = loaded(path)
    assert module.verify() <= module.PROGRAM["tolerance"]
    assert compared(module, model) <= TOLERANCE


def test_the_gelu_of_the_python_file_keeps_the_digits_of_its_tail():
    x = np.linspace(-13, 13, 20_001, dtype=np.float32)
    exact = rot180.ops.gelu(x.astype(np.float64))
    found = numpy_program.OPERATIONS["gelu"](x, shape=x.shape)
    assert (np.abs(found - exact) / np.spacing(np.abs(exact).astype(np.float32))).max() < 2


COMPILER = shutil.which("gcc") or shutil.which("clang") or shutil.which("cc")
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-O1")


def run_c(source, folder, *options):
    program = folder / "program"
    command = [COMPILER, *STRICT, *options, "-x", "c", source, "-lm", "-o", program]
    subprocess.run(command, check=True, capture_output=True)
    return subprocess.run([program], capture_output=True, text=True)


@pytest.mark.skipif(COMPILER is None, reason="no C compiler is installed")
@pytest.mark.parametrize("weights", ["float32", "int8"])
def test_headers_of_all_layers_in_one_program(weights, tmp_path):
    """Every network of this file, with names of their own, compared for images that the headers do not hold."""
    calls = []
    for number, (name, text) in enumerate(NETWORKS.items()):
        model = varied(rot180.network(text))
        written = export_c(model, tmp_path / f"net{number}.h", weights=weights)
        images, _ = example_images(model, 3, seed=7)
        expected = rot180.predict(model, images)
        if weights == "int8":
            expected = evaluate(quantized(program_of(model, "test")), model, images)
        scale = max(1.0, float(np.abs(expected).max()))
        images.astype(np.float32).tofile(tmp_path / f"in{number}")
        (expected / scale).astype(np.float32).tofile(tmp_path / f"out{number}")
        assert written.prefix == f"net{number}", name
        calls.append(
            f'  failed |= compare("{tmp_path}", {number}, NET{number}_HEIGHT * NET{number}_WIDTH * '
            f"NET{number}_CHANNELS, NET{number}_OUTPUTS, {scale!r}f, net{number}_predict);"
        )
    source = tmp_path / "all.c"
    includes = "\n".join(f'#include "net{number}.h"' for number in range(len(NETWORKS)))
    source.write_text(DRIVER.replace("INCLUDES", includes).replace("CALLS", "\n".join(calls)), encoding="ascii")
    done = run_c(source, tmp_path)
    assert done.returncode == 0, done.stdout


@pytest.mark.skipif(COMPILER is None, reason="no C compiler is installed")
@pytest.mark.parametrize("name", ["cnn-8-16", "mobilenet_v3_small", "squeezenet1_1"])
def test_named_models_as_programs(name, tmp_path):
    """The short form of `named_programs.py`."""
    options = ["--count", "3", "--width", "0.125", "--side", "32", "--forms", "py,h", "--compilers", "gcc"]
    asked = named_programs.asked_for([*options, "--weights", "float32"])
    asked.compilers = (COMPILER,)
    found = dict(named_programs.compare(name, asked, tmp_path))
    assert len(found) == 2
    assert max(found.values()) <= TOLERANCE
    model = named_programs.named(name, width=asked.width, side=asked.side)
    outputs = rot180.predict(model, example_images(model, 8, seed=5)[0])
    assert 0.05 < outputs.max(axis=1).min() < 0.99  # not all probabilities are 0 or 1


DRIVER = """\
#include <stdio.h>
#include <string.h>
INCLUDES
static float arena[65536], image[65536], output[65536], expected[65536];

static int compare(const char *folder, int number, int inputs, int outputs, float scale,
                   void (*predict)(const float *, float *, float *)) {
  char name[1000];
  snprintf(name, sizeof name, "%s/in%d", folder, number);
  FILE *in = fopen(name, "rb");
  snprintf(name, sizeof name, "%s/out%d", folder, number);
  FILE *out = fopen(name, "rb");
  float largest = 0.0f;
  memset(arena, 0xff, sizeof arena); /* NaN: what is not written must not be read */
  for (int n = 0; n < 3; n++) {
    if (fread(image, 4, (size_t)inputs, in) != (size_t)inputs) return 1;
    if (fread(expected, 4, (size_t)outputs, out) != (size_t)outputs) return 1;
    predict(image, output, arena);
    for (int k = 0; k < outputs; k++) {
      const float apart = fabsf(output[k] / scale - expected[k]);
      if (!(apart <= largest)) largest = apart;
    }
  }
  fclose(in);
  fclose(out);
  printf("%d: %g\\n", number, (double)largest);
  return !(largest <= 1e-5f);
}

int main(void) {
  int failed = 0;
CALLS
  return failed;
}
"""


@pytest.mark.skipif(COMPILER is None, reason="no C compiler is installed")
def test_the_header_verifies_itself(tmp_path):
    images = np.random.default_rng(0).integers(256, size=(20, 6, 6, 3), dtype=np.uint8)
    for kind in ("image", "dataset"):
        model = rot180.network("6x6x3 > conv3x3:4 bn relu > fc3")
        model.class_names = ('a "b"??/', "\u732b", "1*/")
        of = rot180.Preprocessing.of_dataset
        model.preprocessing = of(images) if kind == "dataset" else rot180.Preprocessing(kind)
        rot180.fit(model, (images, np.arange(20) % 3), epochs=1, lr=1e-4)
        path = tmp_path / f"{kind}-1.h"
        assert export_c(model, path).prefix == f"{kind}_1"
        done = run_c(path, tmp_path, f"-D{kind.upper()}_1_TEST")
        assert done.returncode == 0, done.stdout
        text = path.read_text(encoding="ascii")
        path.write_text(text.replace("largest <= ", "largest < 0 * "), encoding="ascii")
        assert run_c(path, tmp_path, f"-D{kind.upper()}_1_TEST").returncode == 1


def test_int8_weights_hardly_change_a_trained_network():
    data = rot180.load_data("digits")
    model = rot180.network("8x8x1 > conv3x3:16:same bn relu maxpool2 > fc10")
    rot180.fit(model, data, epochs=4)
    small = evaluate(quantized(program_of(model, "test")), model, data.test_images)
    both = (rot180.predict(model, data.test_images), small)
    accuracy = [(found.argmax(1) == data.test_labels).mean() for found in both]
    assert accuracy[1] > accuracy[0] - 0.01


def page_of(path):
    text = path.read_text(encoding="utf-8")
    return text, json.loads(text.split('id="program">')[1].split("</script>")[0])


def test_a_page_holds_everything_and_loads_nothing(tmp_path):
    model = rot180.network("8x8x3 > conv3x3:4 bn relu > fc3").build(seed=0)
    model.class_names = ("</script><b>", "\u732b @data@", "@script@")
    sizes = {}
    for weights in ("float32", "int8"):
        written = export_page(model, tmp_path / "page.html", weights=weights)
        text, program = page_of(tmp_path / "page.html")
        assert program["class_names"] == list(model.class_names)
        assert text.count("</script>") == 3
        assert "default-src 'none'" in text
        assert "http" not in text.replace("http-equiv", "")
        assert written.size == (tmp_path / "page.html").stat().st_size
        sizes[weights] = written.size
    assert sizes["int8"] < sizes["float32"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("9 > fc3", r"takes \(9,\) and returns \(3,\)"),
        ("8x8x4 > fc3", "the class of a gray or colored picture"),
        ("8x8x1 > conv3x3:2", "export it as ONNX, Python or C"),
    ],
)
def test_networks_that_have_no_page(text, message, tmp_path):
    with pytest.raises(ArgumentError, match=message):
        export_page(rot180.network(text).build(), tmp_path / "page.html")
    with pytest.raises(ArgumentError, match="did you mean 'int8'"):
        export_page(rot180.network(text).build(), tmp_path / "page.html", weights="int9")


def test_a_page_computes_what_the_network_does(tmp_path):
    """In Chromium; `page_in_browser.py` opens pages of all layers, and examines them."""
    pytest.importorskip("starlette", reason="the explorer's tests, which find the browser, need starlette")
    import page_in_browser
    from browser import browser, missing

    if missing():
        pytest.skip(missing())
    data = rot180.load_data("digits")
    model = rot180.network("8x8x1 > conv3x3:8:same bn relu maxpool2 > fc10")
    rot180.fit(model, data, epochs=1)
    export_page(model, tmp_path / "page.html")
    faults = []
    with browser() as chromium:
        page = page_in_browser.opened(chromium, tmp_path / "page.html", faults)
        assert page.get_attribute("html", "data-proof") == "holds"
        images = data.test_images[:100]
        unit = model.preprocessing.pixels.high / model.preprocessing.white_of(images)
        rows = (images * unit).reshape(100, -1).tolist()
        code = (
            "async rows => { const all = []; for (const row of rows) all.push([...await predict(row)]); return all; }"
        )
        found = np.array(page.evaluate(code, rows))
    assert np.abs(found - rot180.predict(model, images)).max() <= TOLERANCE
    assert faults == []


def test_a_trained_model_keeps_its_preprocessing_and_classes(tmp_path):
    generator = np.random.default_rng(0)
    names = ('it\'s "quoted" \\', "\u732b\u2603", "\U0001f431")
    for images in (
        generator.integers(256, size=(20, 6, 6, 3), dtype=np.uint8),
        generator.integers(1024, size=(20, 6, 6, 3), dtype=np.uint16),
        generator.uniform(size=(20, 6, 6, 3)).astype(np.float32),
        generator.normal(size=(20, 6, 6, 3)).astype(np.float32),
    ):
        for kind in ("scale", "image", "dataset", "none"):
            model = rot180.network("6x6x3 > conv3x3:4 bn relu > fc3")
            model.class_names = names
            is_dataset = kind == "dataset"
            of = rot180.Preprocessing.of_dataset
            model.preprocessing = of(images) if is_dataset else rot180.Preprocessing(kind)
            rot180.fit(model, (images, np.arange(20) % 3), epochs=1, lr=1e-4)
            path = tmp_path / f"{images.dtype}_{kind}.py"
            text = python_file.python_text(program_of(model, "test"), examples_of(model))
            path.write_text(text, encoding="ascii")
            module = loaded(path)
            assert module.verify() <= TOLERANCE
            assert tuple(module.PROGRAM["class_names"]) == names
            np.testing.assert_allclose(module.predict(images), rot180.predict(model, images), atol=TOLERANCE)


def test_the_file_verifies_itself_without_rot180(tmp_path):
    model = rot180.network("8x8x1 > conv3x3:4 relu > fc3").build(seed=0)
    model.class_names = ("cat", "dog", "owl")
    path = tmp_path / "predict.py"
    written = export_python(model, path)
    assert written.difference <= written.tolerance
    assert written.size == path.stat().st_size
    np.save(tmp_path / "one.npy", np.full((8, 8, 1), 200, np.uint8))
    code = (
        f"import sys; sys.modules['rot180'] = None; sys.argv = {[str(path), '--json', str(tmp_path / 'one.npy')]!r}; "
    )
    code += f"import runpy; runpy.run_path({str(path)!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["classes"] == ["cat", "dog", "owl"]
    np.testing.assert_allclose(
        found["outputs"], rot180.predict(model, np.full((2, 8, 8, 1), 200, np.uint8))[:1], atol=TOLERANCE
    )
    # a file in which a weight has changed does not verify
    text = path.read_text(encoding="ascii")
    changed = text.replace("'tolerance': 1e-05", "'tolerance': 1e-12")
    (tmp_path / "changed.py").write_text(changed, encoding="ascii")
    done = subprocess.run([sys.executable, tmp_path / "changed.py", "--verify"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "largest difference for 4 examples" in done.stdout


def test_what_cannot_be_written(tmp_path, monkeypatch):
    path = tmp_path / "predict.py"
    with pytest.raises(ArgumentError, match="export_python: the model has no parameters yet"):
        export_python(rot180.network("8x8x1 > fc3"), path)

    class Own(rot180.ReLU):
        """A layer of a user's own."""

    own = rot180.Sequential([rot180.Flatten(), Own()], input_shape=(2, 2, 1)).build()
    with pytest.raises(ArgumentError, match="a layer of your own, Own"):
        export_python(own, path)
    model = rot180.network("8x8x1 > fc3").build(seed=0)
    with monkeypatch.context() as patch:
        patch.setattr(python_file, "MAX_WEIGHTS", 100)
        with pytest.raises(TooLargeError, match="holds at most 100 weights"):
            export_python(model, path)
    monkeypatch.setattr("rot180.interop.standalone.examples.predict", lambda *_: np.ones((4, 3), np.float32))
    with pytest.raises(ModelError, match="differ from the network's by"):
        export_python(model, path)
    assert not path.exists()
