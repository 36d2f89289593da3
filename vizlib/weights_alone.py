"""What a file of weights does not say: how the layers are connected.

A weights file holds numbers alone. The architecture comes from our own side, by the name of a
network of `keras.applications`, or as JSON that is vetted like that of a model file. For a name,
the shapes in the file tell what follows the convolutional base: nothing, the network's own head, or
the pooling and the one dense layer of transfer learning. What the shapes do not tell is refused.
"""

from __future__ import annotations

import inspect
import itertools
import math
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from vizlib.architectures import (
    IMAGENET_CLASSES,
    NETWORKS,
    PRETRAINED_VARIANCE,
    Network,
    Shape,
    Size,
    described,
    names_from_zero,
    plain_name,
    usual_size,
)
from vizlib.budgets import MAX_INPUT_SIDE
from vizlib.errors import InvalidArgumentError, ModelLoadError
from vizlib.layer_names import kind_of, natural_order, with_own_names
from vizlib.model_files import StoredModel
from vizlib.rebuild import measure, stored_groups, stored_paths, weight_paths, without_memory

_STRIDE = 32  # pixels of the input for each of the base's maps, in every network of the table
_ALPHAS = (0.25, 0.35, 0.5, 0.75, 1.3, 1.4)  # widths that MobileNets are published in, beside 1

# How a layer without weights shows in a file, by the name that Keras gives it.
_POOLINGS: dict[str, Any] = {
    "global_average_pooling2d": keras.layers.GlobalAveragePooling2D,
    "global_max_pooling2d": keras.layers.GlobalMaxPooling2D,
    "flatten": keras.layers.Flatten,
}
_AVERAGE, _LARGEST, _FLATTEN = _POOLINGS
_SCALING = "rescaling"
_UNTOLD: dict[str, Any] = {  # those whose settings are not in the file
    "average_pooling2d": keras.layers.AveragePooling2D,
    "max_pooling2d": keras.layers.MaxPooling2D,
}
_MOST_IN_OWN_HEAD = 8  # weights, above which no network's own head is looked for
_OTHERWISE = (
    'Save the whole model with model.save("model.keras") and load that, or give its architecture: '
    'Path("model.json").write_text(model.to_json()), then '
    'load_convnet(path, architecture="model.json").'
)


# ------------------------------------------------------------------------- what is in the file


@dataclass(frozen=True)
class _Split:
    """The weights of a file, those of the convolutional base told from what comes beside it.

    Attributes
    ----------
    nested : bool
        Whether the base is a model inside the model.
    wrapped : bool
        Whether the whole is, beside layers without weights.
    head : list of tuple of int
        Shapes of the weights that are not the base's.
    prefix : str
        Of the base's paths, in a file of Keras 3.
    """

    nested: bool
    wrapped: bool
    head: list[Shape]
    prefix: str = ""


def _with_plain_paths(stored: StoredModel) -> StoredModel:
    """The same with the paths that Keras 3 writes."""
    if stored.layout == "legacy":
        return stored
    weights = {_plain_path(path): array for path, array in stored_paths(stored).items()}
    listed = tuple((_plain_path(path), name) for path, name in stored.listed)
    return replace(stored, weights=weights, listed=listed)


def _plain_path(path: str) -> str:
    return path.replace("_layer_checkpoint_dependencies", "layers")


def _split(base: keras.Model, stored: StoredModel) -> _Split | None:
    """Find the base's weights, by shape; None if they are not there."""
    if stored.layout == "keras3":
        return _split_paths(base, stored.weights)
    return _split_groups(base, _grouped(stored))


def _split_paths(base: keras.Model, weights: dict[str, np.ndarray]) -> _Split | None:
    expected = {path: tuple(one.shape) for path, one in weight_paths(base).items()}
    shapes = {path: array.shape for path, array in weights.items()}
    first = next(iter(expected))
    starts = (path.removesuffix(first) for path in shapes if f"/{path}".endswith(f"/{first}"))
    for prefix in sorted(starts, key=len):
        if all(shapes.get(prefix + path) == shape for path, shape in expected.items()):
            inside = {prefix + path for path in expected}
            rest = sorted(set(shapes) - inside, key=natural_order)
            nested = any(not path.startswith(prefix) for path in rest)
            return _Split(nested, False, [shapes[path] for path in rest], prefix)
    return None


def _grouped(stored: StoredModel) -> list[list[Shape]]:
    return [
        [stored.weights[f"{layer}/{name}"].shape for name in names]
        for layer, names in stored_groups(stored)
    ]


def _split_groups(base: keras.Model, groups: list[list[Shape]]) -> _Split | None:
    expected = _shapes(base)
    count = sum(1 for layer in base.layers if layer.weights)
    if len(groups) >= count and Counter(_flat(groups[:count])) == expected:
        return _Split(False, False, _flat(groups[count:]))
    for place, group in enumerate(groups):
        if Counter(group) == expected:
            others = _flat([*groups[:place], *groups[place + 1 :]])
            return _Split(bool(others), not others, others)
    if len(groups) == 1 and expected <= Counter(groups[0]):
        return _Split(False, True, list((Counter(groups[0]) - expected).elements()))
    return None


def _shapes(model: keras.Model) -> Counter[Shape]:
    return Counter(tuple(weight.shape) for weight in model.weights)


def _flat(groups: list[list[Shape]]) -> list[Shape]:
    return [shape for group in groups for shape in group]


def _listed_beside(base: keras.Model, split: _Split, stored: StoredModel) -> Counter[str]:
    """Layers that the file lists and the base does not have, by the name Keras gives their kind."""
    if stored.layout == "keras3":
        kinds = {**_POOLINGS, **_UNTOLD}
        own = Counter(k for k, kind in kinds.items() for one in base.layers if type(one) is kind)
        return Counter(kind_of(path) for path, _ in stored.listed) - own
    listed = Counter(kind_of(name) for name, _ in stored.legacy_order)
    return listed if split.nested else listed - Counter(kind_of(one.name) for one in base.layers)


# ------------------------------------------------------------------------------- the base by name


@dataclass(frozen=True)
class Head:
    """What a network ends in.

    Attributes
    ----------
    units : int
        Of its last layer; 0 where nothing follows the base.
    own : bool
        Whether it is the head that the network was published with, for however many classes.
    """

    units: int
    own: bool


def with_named_architecture(
    stored: StoredModel, name: str, size: Size | None = None
) -> tuple[StoredModel, Head]:
    """Add the architecture that stored weights belong to, the name of their network being given.

    Parameters
    ----------
    stored : StoredModel
        Weights alone.
    name : str
        A name in `NETWORKS`.
    size : (height, width), optional
        Pixels of the input. By default what a flattening head asks for, or else the usual size of
        the network.

    Returns
    -------
    StoredModel
        With a vetted configuration.
    Head
        What the shapes tell about the end of the network.

    Raises
    ------
    ModelLoadError
        If the weights are not those of the network, or do not tell what follows its base.
    """
    stored = _with_plain_paths(stored)
    network, split = _found(stored, name, size or usual_size(name))
    if _is_scaled(network, split, stored):
        network = replace(network, scaled=True)
    form = _Form(network, split, stored)
    if split.head:
        form = _with_head(form, fixed=size is not None)
    model = form.model()
    architecture = described(model)
    if form.network.size != usual_size(name):
        measure(architecture)
    arranged = _arranged(form, model)
    return replace(arranged, config=architecture), Head(form.own or form.units, form.own > 0)


def _found(stored: StoredModel, name: str, size: Size) -> tuple[Network, _Split]:
    for options, channels in itertools.product(_widths(name), _channels(stored)):
        network = Network(name, size, channels, options)
        split = _split(network.base, stored)
        if split is not None:
            return network, split
    raise _other_weights(Network(name, size), stored)


def _widths(name: str) -> Iterator[dict[str, Any]]:
    yield {}
    if "alpha" in inspect.signature(NETWORKS[name]).parameters:
        yield from ({"alpha": alpha} for alpha in _ALPHAS)


def _channels(stored: StoredModel) -> tuple[int, ...]:
    """Colour, or else grey where there is a kernel that looks at a single map."""
    kernels = [array.shape for array in stored.weights.values() if array.ndim == 4]
    return (3, 1) if any(shape[2] == 1 < shape[3] for shape in kernels) else (3,)


def _is_scaled(network: Network, split: _Split, stored: StoredModel) -> bool:
    """Whether EfficientNet has the rescaling that belongs to its ImageNet weights.

    Raises
    ------
    ModelLoadError
        If the file does not tell, or lists no rescaling where the network has some.
    """
    inside = Counter(
        kind_of(path) for path, _ in stored.listed if _container(path) == f"{split.prefix}layers"
    )
    if inside["input_layer"]:
        _refuse_without_scaling(network, inside)
    if not network.name.startswith("efficientnetb") or not _has_pretrained_variance(stored):
        return False
    if inside["input_layer"]:
        return inside[_SCALING] > 1 or inside["tf_op_lambda"] > 0
    published = not split.head or (IMAGENET_CLASSES,) in split.head
    inside_another = split.nested or split.wrapped
    if stored.layout == "legacy" and inside_another and not published:
        raise ModelLoadError(
            f"Expected a file that tells how {network.name} scales its input, which has changed "
            f"with Keras 2.12. This one does not. {_OTHERWISE}"
        )
    names = [name for name, _ in stored.legacy_order]
    told = sum(kind_of(name) == _SCALING for name in names) > 1 or "tf.math.multiply" in names
    return stored.layout == "keras3" or published or told


def _container(path: str) -> str:
    return path.rpartition("/")[0]


def _refuse_without_scaling(network: Network, inside: Counter[str]) -> None:
    kinds = {_SCALING: keras.layers.Rescaling, "normalization": keras.layers.Normalization}
    layers = network.base.layers
    missing = [
        name
        for name, kind in kinds.items()
        if any(type(layer) is kind for layer in layers) and not inside[name]
    ]
    if missing:
        raise ModelLoadError(
            f"Expected {network.name} with its {' and '.join(missing)} inside. Received a file "
            f"that lists none, as include_preprocessing=False leaves it. {_OTHERWISE}"
        )


def _has_pretrained_variance(stored: StoredModel) -> bool:
    if stored.layout == "keras3":
        found = [a for path, a in stored.weights.items() if path.endswith("/normalization/vars/1")]
    else:
        found = [a for name, a in stored.weights.items() if re.search(r"/variance(:0)?$", name)]
    return any(
        array.shape == (3,) and np.allclose(array, PRETRAINED_VARIANCE, atol=1e-3)
        for array in found
    )


# ----------------------------------------------------------------------------- what follows it


@dataclass(frozen=True)
class _Form:
    """A network and what follows its base.

    Attributes
    ----------
    own : int
        Classes of the network's own head, if it has that.
    pooling : str or None
        A name in `_POOLINGS`: what stands before the dense layer.
    units : int
        Of the dense layer, if there is one.
    bias : bool
        Whether the dense layer has one.
    """

    network: Network
    split: _Split
    stored: StoredModel
    own: int = 0
    pooling: str | None = None
    units: int = 0
    bias: bool = True

    def model(self) -> keras.Model:
        """The whole network, without memory."""
        if self.own:
            return self._wrapped(self.network.whole(self.own))
        base = self.network.base
        return self._wrapped(self._followed(base) if self.units else base)

    def _followed(self, base: keras.Model) -> keras.Model:
        with without_memory(), names_from_zero():
            activation = "softmax" if self.units > 1 else "sigmoid"
            dense = keras.layers.Dense(
                self.units, activation=activation, use_bias=self.bias, name="dense"
            )
            pooling = [_POOLINGS[self.pooling](name=self.pooling)] if self.pooling else []
            if self.split.nested:
                return keras.Sequential([keras.Input(base.input_shape[1:]), base, *pooling, dense])
            outputs = base.output
            for layer in (*pooling, dense):
                outputs = layer(outputs)
            return keras.Model(base.input, outputs, name=base.name)

    def _wrapped(self, model: keras.Model) -> keras.Model:
        if not self.split.wrapped:
            return model
        with without_memory(), names_from_zero():
            return keras.Sequential([keras.Input(model.input_shape[1:]), model])


def _with_head(form: _Form, *, fixed: bool) -> _Form:
    """Find the head in the shapes that the base leaves over."""
    dense = _one_dense(form.split.head)
    if dense is not None:
        _refuse_untold_poolings(form)
    form = _sized(form, fixed=fixed)
    own = _own_classes(form)
    if dense is None and own:
        return replace(form, own=own)
    if dense is None:
        raise _untold_head(form)
    rows, units, bias = dense
    form = replace(form, pooling=_pooling(form, rows), units=units, bias=bias)
    if form.network.name.startswith("convnext") and form.pooling != _FLATTEN:
        return _beside_normalisation(form, own)
    return replace(form, own=own if form.pooling == _AVERAGE else 0)


def _one_dense(head: list[Shape]) -> tuple[int, int, bool] | None:
    """Rows and columns of the only kernel, and whether there is a bias."""
    kernels = [shape for shape in head if len(shape) == 2]
    others = [shape for shape in head if len(shape) != 2]
    if len(kernels) != 1 or min(kernels[0]) < 1 or others not in ([], [kernels[0][1:]]):
        return None
    return *kernels[0], bool(others)


def _own_classes(form: _Form) -> int:
    """Classes of the network's own head, 0 if this is another."""
    head = form.split.head
    if form.split.nested or len(head) > _MOST_IN_OWN_HEAD or any(0 in shape for shape in head):
        return 0
    ends = dict.fromkeys(shape[-1] for shape in reversed(head) if len(shape) > 1)
    return next((n for n in ends if _holds_all(form.network.whole(n), form)), 0)


def _holds_all(model: keras.Model, form: _Form) -> bool:
    stored, split = form.stored, form.split
    if stored.layout == "keras3":
        own = {split.prefix + path: tuple(v.shape) for path, v in weight_paths(model).items()}
        return own == {path: array.shape for path, array in stored.weights.items()}
    groups = _grouped(stored)
    count = 1 if split.wrapped else sum(1 for layer in model.layers if layer.weights)
    return len(groups) == count and Counter(_flat(groups)) == _shapes(model)


def _sized(form: _Form, *, fixed: bool) -> _Form:
    """Find the size of the input at which a head that flattens fits.

    Raises
    ------
    ModelLoadError
        If there is none, or it is not the one that is given.
    """
    base = form.network.base
    height, width, channels = base.output_shape[1:]
    rows = next((shape[0] for shape in form.split.head if len(shape) == 2), channels)
    if rows == channels and not _flattens_one_cell(form):
        return form
    if rows == height * width * channels:
        return form
    cells, left = divmod(rows, channels)
    side = None if fixed or left else _side(form.network, cells)
    if side is not None:
        return replace(form, network=replace(form.network, size=(side, side)))
    if _one_dense(form.split.head):
        raise _unfitting_rows(form, rows, (height, width, channels))
    return form


def _flattens_one_cell(form: _Form) -> bool:
    beside = _listed_beside(form.network.base, form.split, form.stored)
    return beside[_FLATTEN] > 0 and not beside[_AVERAGE] and not beside[_LARGEST]


def _side(network: Network, cells: int) -> int | None:
    """The side of a square input that gives so many cells: a multiple of 32, or the least."""
    wanted = math.isqrt(cells)
    usual = _STRIDE * wanted
    if wanted**2 != cells or not 0 < usual <= MAX_INPUT_SIDE:
        return None

    def found(side: int) -> int:
        try:
            return int(replace(network, size=(side, side)).base.output_shape[1])
        except InvalidArgumentError:  # too small for the network
            return 0

    if found(usual) == wanted:
        return usual
    sides = range(usual, min(usual + 4 * _STRIDE, MAX_INPUT_SIDE))
    least = sides.start + bisect_left(sides, wanted, key=found)
    return least if least in sides and found(least) == wanted else None


def _pooling(form: _Form, rows: int) -> str:
    """What stands before the dense layer: told by its rows, and by what the file lists."""
    base = form.network.base
    beside = _listed_beside(base, form.split, form.stored)
    if rows != base.output_shape[-1]:
        return _FLATTEN
    if beside[_AVERAGE]:
        return _AVERAGE
    return next((name for name in (_LARGEST, _FLATTEN) if beside[name]), _AVERAGE)


def _refuse_untold_poolings(form: _Form) -> None:
    beside = _listed_beside(form.network.base, form.split, form.stored)
    untold = [name for name in _UNTOLD if beside[name]]
    if untold:
        raise ModelLoadError(
            f"Expected the maps of {form.network.name} to be averaged or flattened. This file "
            f"lists {' and '.join(untold)} too, whose size it does not tell. {_OTHERWISE}"
        )


def _beside_normalisation(form: _Form, own: int) -> _Form:
    """Tell what is pooled in ConvNeXt: the maps before its last normalisation, or those after it.

    Its own head and its own ``pooling`` stand before, a pooling layer after it; shapes are equal.
    """
    if own and _names_its_own_head(form.stored):
        return replace(form, own=own)
    places = _places(form) if form.split.nested else set()
    if len(places) != 1:
        raise _untold_pooling(form)
    if "outside" in places:
        return form
    pooling = "max" if form.pooling == _LARGEST else "avg"
    options = {**form.network.options, "pooling": pooling}
    return replace(form, network=replace(form.network, options=options), pooling=None)


def _places(form: _Form) -> set[str]:
    """Whether the pooling is listed inside the base, or outside."""
    if form.stored.layout == "legacy":  # which lists all layers but those inside
        listed = any(kind_of(name) == form.pooling for name, _ in form.stored.legacy_order)
        return {"outside" if listed else "inside"}
    inside = f"{form.split.prefix}layers"
    paths = [path for path, _ in form.stored.listed if kind_of(path) == form.pooling]
    return {"inside" if _container(path) == inside else "outside" for path in paths}


def _names_its_own_head(stored: StoredModel) -> bool:
    names = [*stored.weights, *(name for _, name in stored.listed)]
    return any("_head_layernorm" in name for name in names)


# ----------------------------------------------------------------------------- as it is rebuilt


def _arranged(form: _Form, model: keras.Model) -> StoredModel:
    """The weights under the paths, or the names of layers, that the network has here."""
    stored, split = form.stored, form.split
    if stored.layout == "legacy":
        return with_own_names(stored, set(_weighted_names(model)))
    inner = "layers/functional/" if split.nested else ""
    places = {split.prefix + path: inner + path for path in weight_paths(form.network.base)}
    own = sorted(set(weight_paths(model)) - set(places.values()), key=natural_order)
    left = sorted(set(stored.weights) - set(places), key=natural_order)
    places |= dict(zip(left, own, strict=True))
    weights = {places[path]: array for path, array in stored.weights.items()}
    return replace(stored, weights=weights)


def _weighted_names(model: keras.Model) -> Iterator[str]:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _weighted_names(layer)
        elif layer.weights:
            yield layer.name


# ------------------------------------------------------------------------------------- refusals


def _other_weights(network: Network, stored: StoredModel) -> ModelLoadError:
    own = _shapes(network.base)
    missing = own - Counter(array.shape for array in stored.weights.values())
    names = {plain_name(part) for name in stored.weights for part in name.split("/")}
    names |= {plain_name(name) for _, name in stored.listed}
    named = sorted(names & set(NETWORKS) - {network.name})
    what = (
        f"a file in which {missing.total()} of its {own.total()} weights are missing, such as one "
        f"of the shape {next(iter(missing))}"
        if missing
        else "a file that has such weights in other places"
    )
    hint = f" The file itself names {' and '.join(named)}." if named else ""
    return ModelLoadError(
        f"Expected the weights of {network.name}. Received {what}.{hint} "
        f"Give the name of the network that the file is of. If it was changed: {_OTHERWISE}"
    )


def _untold_head(form: _Form) -> ModelLoadError:
    head = form.split.head
    kernels = [shape for shape in head if len(shape) == 2]
    if len(kernels) > 1 and all(len(shape) < 3 for shape in head):
        sizes = " and ".join(f"{rows} x {columns}" for rows, columns in kernels[:5])
        what = f"{len(kernels)} of them, {sizes}: the activations between them are not in the file"
    else:
        shapes = ", ".join(map(str, head[:5]))
        what = f"weights of the shapes {shapes}: how such layers are connected is not in the file"
    return ModelLoadError(
        f"Expected one dense layer after the base of {form.network.name}, or its own head. "
        f"Received {what}. {_OTHERWISE}"
    )


def _unfitting_rows(form: _Form, rows: int, maps: Shape) -> ModelLoadError:
    height, width, channels = maps
    sides = " x ".join(map(str, form.network.size))
    return ModelLoadError(
        f"Expected a dense layer on the {channels} channels of {form.network.name}, or on all "
        f"{math.prod(maps)} numbers of the {height} x {width} maps that an input of {sides} pixels "
        f"gives. Received one on {rows} numbers. Give the size that the network was trained with, "
        "input_size=(height, width)."
    )


def _untold_pooling(form: _Form) -> ModelLoadError:
    return ModelLoadError(
        f"Expected a file that tells where {form.network.name} is pooled, before its last "
        f"normalisation or after it. This one fits both. {_OTHERWISE}"
    )
