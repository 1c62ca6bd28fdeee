"""The network that a training starts from: a run, a model file or weights of another program, with a new last layer."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

from rot180.data import Dataset
from rot180.data.options import Progress, _silent
from rot180.errors import ArgumentError, ShapeError
from rot180.interop.onnx.importing import import_onnx, is_onnx
from rot180.interop.origin import find_weights
from rot180.interop.published import sha256_of
from rot180.interop.weights import import_weights
from rot180.nn import BatchNorm2d, GlobalAvgPool2d, Linear, Network, Node
from rot180.nn.weighted import Weighted, build_with_zeros
from rot180.runs.folder import RunFolder, load_run
from rot180.runs.model_file import is_model_file, model_bytes
from rot180.training.batches import Examples
from rot180.training.class_weights import class_weights_of
from rot180.training.fit import hold_out
from rot180.training.head import compute_features, fit_head

EARLIEST = 0.01
"""The learning rate of the layer next to the image, as a share of the last one's; in between it grows evenly."""


@dataclass(frozen=True)
class Source:
    """A network to start from.

    Attributes
    ----------
    path : Path
    text : str
        What finds it again: the path, a name of published weights, or a hub's repository with its revision.
    model : Network
        As it was trained, with its own last layer.
    name : str
        The named model or the notation.
    sha256 : str
        Of the file with the weights; for a run, of the model file that its newest weights give.
    license : str or None
    notes : tuple of str
        What was assumed.
    """

    path: Path
    text: str
    model: Network
    name: str
    sha256: str
    license: str | None
    notes: tuple[str, ...]

    def facts(self) -> dict[str, str]:
        """Return what `environment.json` records."""
        known = {"source": self.name, "source_origin": self.text, "source_sha256": self.sha256}
        return known if self.license is None else {**known, "source_license": self.license}


def open_source(text: str, progress: Progress = _silent) -> Source:
    """Read the network that `--from` names: a run, a file, published weights, or a repository of a model hub.

    Raises
    ------
    ModelError
        There is no such file, run or name, or it cannot be used.
    """
    path = Path(text)
    if path.is_dir() or is_model_file(path):
        run = load_run(path)
        if run.folder is None:
            weights = RunFolder(path).model_path if path.is_dir() else path
            return Source(path, text, run.model, run.model.notation, sha256_of(weights), None, ())
        name = str(run.config.get("model", run.model.notation))
        # The newest weights of a run that was interrupted are in a checkpoint.
        return Source(path, text, run.model, name, hashlib.sha256(model_bytes(run.model)).hexdigest(), None, ())
    if is_onnx(path):
        model = import_onnx(path)
        return Source(path, text, model, model.notation, sha256_of(path), None, ())
    origin = find_weights(text, progress)
    if is_model_file(origin.path):  # from a hub
        model = load_run(origin.path).model
        notes = () if origin.note is None else (origin.note,)
        return Source(origin.path, origin.text, model, model.notation, sha256_of(origin.path), origin.license, notes)
    found = import_weights(text, progress=progress)
    sha256 = sha256_of(found.path)
    return Source(found.path, found.origin, found.model, found.architecture, sha256, found.license, found.notes)


def with_new_head(source: Network, shape: tuple[int, int, int], classes: int) -> Network:
    """Return a network with the layers and weights of another, for images of another size and other classes.

    The last layer with weights is replaced by a fully connected one, whose weights are zero; where it is a convolution,
    the mean of each channel comes before. Layers of the body learn the more slowly the nearer they are to the image,
    and normalizations keep their statistics.

    Raises
    ------
    ShapeError
        The layers do not fit the size of the images.
    ArgumentError
        The network has branches at its end.
    """
    nodes = source.nodes
    last = max((place for place, node in enumerate(nodes) if isinstance(node.layer, Weighted)), default=0)
    if not last or nodes[last].reads != (last - 1,):
        raise ArgumentError("--from needs a network that ends in a layer with weights, and has one before it")
    kept = [Node(copy.deepcopy(layer), reads) for layer, reads in nodes[:last]]
    name = nodes[last].layer.name
    if not isinstance(nodes[last].layer, Linear):
        name = ""
        kept.append(Node(GlobalAvgPool2d(), (len(kept) - 1,)))
    learning = [layer for layer, _ in kept if layer.has_parameters]
    if not learning:
        raise ArgumentError("--from needs a network that ends in a layer with weights, and has one before it")
    for number, layer in enumerate(learning):
        share = EARLIEST ** (1 - number / len(learning))
        layer.lr_factor = float(f"{share:.3g}")
        if isinstance(layer, BatchNorm2d):
            layer.frozen = True
    made = Network([*kept, Node(Linear(classes, name=name), (len(kept) - 1,))], input_shape=shape)
    build_with_zeros(made, "float32")
    state = source.state
    body = {name for layer in learning for name in made.state if name.startswith(f"{layer.name}.")}
    for name in body:
        if made.state[name].shape != state[name].shape:
            raise ShapeError(
                f"--from: {name} has the shape {state[name].shape}, and images of this size need "
                f"{made.state[name].shape}; leave out --resize, or give the size that the network was trained with"
            )
        made.state[name][...] = state[name]
    return made


def adapted(source: Source, dataset: Dataset) -> Network:
    """Return the source's network for a data set, with its preprocessing."""
    shape = dataset.image_shape
    if len(source.model.input_shape) != 3 or shape[2] != source.model.input_shape[2]:
        takes, has = ("x".join(map(str, size)) for size in (source.model.input_shape, shape))
        raise ShapeError(
            f"--from: the network takes images of {takes}, but {dataset.name} has {has}; give "
            "images with as many channels"
        )
    model = with_new_head(source.model, shape, len(dataset.class_names))
    given = source.model.preprocessing
    model.preprocessing = replace(given, resize=dataset.resize, pixels=None)
    return model


def train_head(
    model: Network,
    dataset: Dataset,
    *,
    mirrored: bool,
    validation: float | str | None = None,
    class_weights: str | None = None,
    seed: int,
    engine: str,
    progress: Progress | None = None,
    tell: Callable[[str], None],
) -> dict[str, float]:
    """Train the last layer of a network on the features of the training images, without those that `fit` holds out.

    Returns
    -------
    dict
        What the run's history records: images, the weight decay chosen, the accuracy on the images that were held out
        for that, and the seconds.
    """
    began = perf_counter()
    images, labels = dataset.train_images, dataset.train_labels
    if isinstance(validation, (int, float)):
        (images, labels, _), _ = hold_out(Examples(images, labels), validation, seed)
    weights = None if class_weights is None else class_weights_of(class_weights, labels, dataset.class_names)
    features = compute_features(model, images, mirrored=mirrored, engine=engine, progress=progress)
    head = fit_head(
        features,
        labels,
        model.output_shape[0],
        class_weights=weights,
        seed=seed,
        engine=engine,
        progress=progress,
    )
    last = model.layers[-1]
    model.state[f"{last.name}.weight"][...] = head.weight
    model.state[f"{last.name}.bias"][...] = head.bias
    tell(
        f"the last layer was trained on the features of {len(labels):,} images: accuracy {100 * head.accuracy:.2f}% "
        f"on a fifth of them, held out to choose the weight decay {head.decay:g}"
    )
    return {
        "images": len(labels),
        "decay": head.decay,
        "accuracy": head.accuracy,
        "seconds": perf_counter() - began,
    }
