"""Every named model as predict.py, model.h and page.html, compared with the engine over many images.

python tests/interop/named_programs.py --count 100                       every model, in every form
python tests/interop/named_programs.py --count 100 --width 1 --side 224  as they are published
python tests/interop/named_programs.py --models lenet5,resnet18 --forms h --compilers clang --sanitize

C is compiled with -Wall -Wextra -Werror; with --sanitize, also with AddressSanitizer and UndefinedBehaviorSanitizer.
Prints a line for each program: its largest difference, relative to the largest output if that is above 1.
"""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import rot180
from rot180.errors import TooLargeError
from rot180.interop.standalone import export_c, export_page, export_python
from rot180.interop.standalone.examples import TOLERANCE, example_images
from rot180.interop.standalone.operation import program_of
from rot180.interop.standalone.weights import evaluate, quantized
from rot180.nn.models import NAMED_MODELS, adapted_model
from rot180.nn.weighted import Weighted
from rot180.nn.width import widened

CLASSES = 5
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-O2")
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g0")


def named(name: str, *, width: float, side: int) -> rot180.nn.Network:
    """Return a named model that is built, with other numbers where layers begin with 0 or 1.

    Photographs have this side; images of other models keep theirs.
    """
    shape = NAMED_MODELS[name].input_shape
    if shape[2] == 3:
        shape = (side, side, 3)
    model = widened(rot180.network(adapted_model(name, shape, CLASSES)), width).build(seed=1)
    generator = np.random.default_rng(2)
    for array_name, array in model.state.items():
        if not array_name.endswith("weight") or array.ndim == 1:
            array += (0.3 * generator.uniform(0 if array_name.endswith("var") else -1, 1, array.shape)).astype(
                array.dtype
            )
    # Outputs of a few, so that the probabilities are of all sizes: those of 0 and 1 would agree whatever is computed.
    images, _ = example_images(model, 4, seed=3)
    outputs, _ = model.forward(model.preprocessing(images))
    last = [layer for layer in model.layers if isinstance(layer, Weighted)][-1]
    for array in last.parameters.values():
        array *= 3 / max(float(np.abs(outputs - outputs.mean(axis=1, keepdims=True)).max()), 1e-6)
    return model


def apart(found, expected) -> float:
    """Return the largest difference, relative to the largest output if that is above 1."""
    return float(np.abs(found - expected).max() / max(1.0, float(np.abs(expected).max())))


def in_python(model, images, folder: Path) -> float:
    """Return how far predict.py is from the engine; it has compared its own examples before it got its name."""
    path = folder / "predict.py"
    export_python(model, path)
    spec = importlib.util.spec_from_file_location("exported", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return apart(module.predict(images), rot180.predict(model, images))


def in_c(model, images, folder: Path, compiler: str, weights: str, options: tuple[str, ...]) -> float:
    """Return how far model.h is from the engine, or, with int8 weights, from the same weights in NumPy."""
    expected = rot180.predict(model, images)
    if weights == "int8":
        expected = evaluate(quantized(program_of(model, "test")), model, images)
    export_c(model, folder / "model.h", weights=weights)
    images.astype(np.float32).tofile(folder / "in")
    (folder / "main.c").write_text(DRIVER.replace("FOLDER", str(folder)), encoding="ascii")
    for source, more in (("main.c", ()), ("model.h", ("-DMODEL_TEST", "-x", "c"))):
        command = [compiler, *STRICT, *options, *more, str(folder / source), "-lm", "-o", str(folder / "program")]
        subprocess.run(command, check=True, capture_output=True)
        subprocess.run([folder / "program"], check=True, capture_output=True)
    return apart(np.fromfile(folder / "out", np.float32).reshape(expected.shape), expected)


DRIVER = """\
#include "model.h"
#include <stdio.h>
#include <string.h>
static float arena[MODEL_ARENA], image[MODEL_HEIGHT * MODEL_WIDTH * MODEL_CHANNELS], output[MODEL_OUTPUTS];

int main(void) {
  FILE *in = fopen("FOLDER/in", "rb");
  FILE *out = fopen("FOLDER/out", "wb");
  if (!in || !out) return 2;
  memset(arena, 0xff, sizeof arena); /* NaN: what is not written must not be read */
  while (fread(image, sizeof image, 1, in) == 1) {
    model_predict(image, output, arena);
    if (fwrite(output, sizeof output, 1, out) != 1) return 2;
  }
  fclose(in);
  return fclose(out);
}
"""


def in_page(model, folder: Path, weights: str, chromium) -> str:
    """Return what page.html says of the examples that it holds; end if it does not give the network's outputs."""
    from page_in_browser import opened

    export_page(model, folder / "page.html", weights=weights)
    faults: list[str] = []
    page = opened(chromium, folder / "page.html", faults)
    said = page.text_content("#proof")
    holds = page.get_attribute("html", "data-proof") == "holds"
    page.context.close()
    if not holds or faults:
        raise SystemExit(f"{said}; {faults}")
    return said


def compare(name: str, asked: argparse.Namespace, folder: Path, chromium=None) -> Iterator[tuple[str, float | str]]:
    """Yield each program of a model, and how far it is from the engine, or why there is none."""
    model = named(name, width=asked.width, side=asked.side)
    images, _ = example_images(model, asked.count, seed=5)
    if "py" in asked.forms:
        yield "predict.py", in_python(model, images, folder)
    for weights in asked.weights:
        if "h" in asked.forms:
            for compiler in asked.compilers:
                for options in ((), SANITIZERS) if asked.sanitize else ((),):
                    told = f"model.h, {weights}, {compiler}{', sanitized' if options else ''}"
                    try:
                        yield told, in_c(model, images, folder, compiler, weights, options)
                    except TooLargeError as error:
                        yield told, str(error)
        if "html" in asked.forms and chromium is not None:
            try:
                yield f"page.html, {weights}", in_page(model, folder, weights, chromium)
            except TooLargeError as error:
                yield f"page.html, {weights}", str(error)


def asked_for(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--width", type=float, default=0.25)
    parser.add_argument("--side", type=int, default=64)
    for option, default in (
        ("models", tuple(NAMED_MODELS)),
        ("forms", ("py", "h", "html")),
        ("weights", ("float32", "int8")),
        ("compilers", tuple(filter(shutil.which, ("gcc", "clang")))),
    ):
        parser.add_argument(f"--{option}", type=lambda text: tuple(text.split(",")), default=default)
    parser.add_argument("--sanitize", action="store_true")
    return parser.parse_args(arguments)


def main() -> int:
    """Print what was found, and return 1 if anything is wrong."""
    warnings.simplefilter("ignore")
    asked, began, programs, largest = asked_for(), time.monotonic(), 0, 0.0
    sys.path.insert(0, str(Path(__file__).parents[1] / "explore"))
    from contextlib import nullcontext

    from browser import browser, missing

    has_browser = "html" in asked.forms and not missing()
    with browser() if has_browser else nullcontext() as chromium, tempfile.TemporaryDirectory() as folder:
        for name in asked.models:
            for program, found in compare(name, asked, Path(folder), chromium):
                print(f"{name}, {program}: {found if isinstance(found, str) else f'{found:.1e}'}", flush=True)
                programs += 1
                largest = max(largest, 0.0 if isinstance(found, str) else found)
    took = time.monotonic() - began
    print(f"{programs} programs over {asked.count} images: largest difference {largest:.1e}; {took:.0f} s")
    return int(not largest <= TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
