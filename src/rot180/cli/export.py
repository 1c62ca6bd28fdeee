"""`rot180 export`: write a trained network for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rot180.cli.options import Json, RunPath

if TYPE_CHECKING:
    from rot180.interop.export import OnnxFile
    from rot180.interop.export.export import Port
    from rot180.interop.standalone import CHeader, PythonFile


def export(
    run: RunPath,
    to: Annotated[
        Path,
        typer.Option(
            "--to",
            metavar="FILE",
            help="The file to write, which must not exist: model.onnx; predict.py, a program that "
            "needs NumPy alone; model.h for C; page.html to draw on; or weights.safetensors for PyTorch.",
        ),
    ],
    opset: Annotated[
        int, typer.Option("--opset", help="Version of the ONNX operator set, 13 to 25; more programs run older ones.")
    ] = 17,
    fold: Annotated[
        bool, typer.Option("--fold", help="Fold each batch normalization into the layer before it.")
    ] = False,
    with_preprocessing: Annotated[
        bool,
        typer.Option(
            "--with-preprocessing",
            help="Include the normalization, so that the file takes integers, usually from 0 to 255.",
        ),
    ] = False,
    softmax: Annotated[
        bool,
        typer.Option("--softmax", help="End in a softmax, so that the outputs are those of predict: probabilities."),
    ] = False,
    layout: Annotated[
        str,
        typer.Option(
            "--input",
            metavar="nchw|nhwc",
            help="Order of the axes of images: channels before rows and columns, or last.",
        ),
    ] = "nchw",
    names: Annotated[
        str,
        typer.Option(
            "--names",
            help="Names of the weights in a .safetensors file: torchvision, timm, torch.nn.Sequential or rot180; or "
            "auto, torchvision's if it has such a network.",
        ),
    ] = "auto",
    weights: Annotated[
        str,
        typer.Option(
            "--weights",
            metavar="float32|int8",
            help="How model.h and page.html store the weights: int8 takes a quarter of the memory, and rounds them.",
        ),
    ] = "float32",
    json: Json = False,
) -> None:
    """Write a trained network for other programs: as an ONNX file, as a program, or its weights for PyTorch.

    An ONNX file is checked before it gets its name: its form, and, if ONNX
    Runtime is installed, its outputs against the network's. It takes any number
    of images at once. Preprocessing and class names are in its metadata. This
    needs a package: pip install "rot180[onnx]"

    A .py file is a program that needs NumPy alone, with weights, preprocessing
    and class names. It has run, and given the network's outputs for the examples
    in it, before it gets its name; python predict.py --verify shows that again.

    A .h file is a C99 header that allocates nothing: weights are constants, and
    the caller provides the memory. cc -DMODEL_TEST -x c model.h -lm makes a
    program that compares its outputs with the network's.

    A .html file is a page to draw on or drop a picture on. It works from a file,
    loads and sends nothing, and says whether it gives the network's outputs.

    A .safetensors file holds the weights alone, as load_state_dict takes them.

    Examples:

      rot180 export runs/first --to digits.onnx

      rot180 export runs/photos --to photos.onnx --with-preprocessing --softmax --input nhwc

      rot180 export runs/photos --to photos.onnx --fold --opset 13 --json

      rot180 export runs/first --to predict.py

      rot180 export runs/first --to model.h --weights int8

      rot180 export runs/first --to page.html

      rot180 export runs/photos --to photos.safetensors
    """
    from rot180.cli.new_file import new_file
    from rot180.cli.output import print_json, visible
    from rot180.cli.quantity import memory
    from rot180.cli.reading import reading_bar
    from rot180.errors import ArgumentError
    from rot180.interop.export import export_onnx
    from rot180.interop.standalone import export_c, export_page, export_python
    from rot180.interop.weights import save_weights
    from rot180.runs import load_run

    suffix = new_file(to, "--to", ".onnx", ".py", ".h", ".html", ".safetensors")
    for option, given, needed in (
        ("--opset", opset != 17, ".onnx"),
        ("--fold", fold, ".onnx"),
        ("--with-preprocessing", with_preprocessing, ".onnx"),
        ("--softmax", softmax, ".onnx"),
        ("--input", layout != "nchw", ".onnx"),
        ("--names", names != "auto", ".safetensors"),
        ("--weights", weights != "float32", ".html" if suffix == ".html" else ".h"),
    ):
        if given and suffix != needed:
            raise ArgumentError(f"{option} is for a file that ends in {needed}; leave it out, or choose another --to")
    model = load_run(run).model
    if suffix == ".safetensors":
        save_weights(model, to, names)
        parameters = sum(array.size for array in model.parameters.values())
        if json:
            print_json({"path": to, "parameters": parameters, "names": names})
        else:
            print(f"{visible(to)}: {parameters:,} weights, as load_state_dict of PyTorch takes them")
        return
    if suffix == ".py":
        with reading_bar() as progress:
            program = export_python(model, to, progress=progress)
        if json:
            print_json(program.to_dict())
        else:
            _tell_program(program)
        return
    if suffix == ".html":
        page = export_page(model, to, weights=weights)
        if json:
            print_json(page.to_dict())
        else:
            print(f"{visible(to)}: {memory(page.size)}; open it in a browser")
        return
    if suffix == ".h":
        header = export_c(model, to, weights=weights)
        if json:
            print_json(header.to_dict())
        else:
            _tell_header(header)
        return
    with reading_bar() as progress:
        written = export_onnx(
            model,
            to,
            opset=opset,
            fold=fold,
            with_preprocessing=with_preprocessing,
            softmax=softmax,
            layout=layout,
            progress=progress,
        )
    if json:
        print_json(written.to_dict())
    else:
        _tell(written)


def _tell(written: OnnxFile) -> None:
    from rot180.cli.output import visible
    from rot180.cli.quantity import memory
    from rot180.language import translate

    print(f"{visible(written.path)}: opset {written.opset}, IR version {written.ir_version}, {memory(written.size)}")
    print(f"{translate('input')} {_described(written.input)}, {translate(written.expects)}")
    print(f"{translate('output')} {_described(written.output)}")
    if written.difference is not None:
        print(
            f"the outputs of {written.compared_with} differ from the network's by at most {written.difference:.1e} of "
            f"the largest"
        )
    for note in written.notes:
        print(note)


def _tell_program(program: PythonFile) -> None:
    from rot180.cli.output import visible
    from rot180.cli.quantity import memory

    print(f"{visible(program.path)}: {memory(program.size)}, {program.weights:,} weights, NumPy alone")
    print(
        f"its outputs for {program.examples} examples differ from the network's by at most {program.difference:.1e}; "
        f"they are in the file: python {visible(program.path)} --verify"
    )


def _tell_header(header: CHeader) -> None:
    from rot180.cli.output import visible
    from rot180.cli.quantity import memory

    path, name = visible(header.path), header.prefix
    print(f"{path}: {memory(header.weight_bytes)} of weights, {memory(header.arena_bytes)} of memory to run")
    print(f"test: cc -std=c99 -O2 -D{name.upper()}_TEST -x c {path} -lm && ./a.out")


def _described(port: Port) -> str:
    return f"{port.name}: {port.type} ({', '.join(map(str, port.shape))})"
