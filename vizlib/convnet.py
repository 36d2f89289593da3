"""`ConvNet`: the one adapter through which every algorithm talks to a Keras model."""

from __future__ import annotations

import copy
import hashlib
import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

import cv2
import keras
import numpy as np
import tensorflow as tf

from vizlib import heads
from vizlib.bfloat16 import run_rounded
from vizlib.errors import (
    InvalidArgumentError,
    UnsupportedModelError,
    VizlibError,
    first_reason,
)
from vizlib.graph import INPUT, LayerGraph, layer_nodes
from vizlib.input_gradients import guided_gradient, plain_gradient
from vizlib.inputs import OtherInputs, find_image_input
from vizlib.labels import LabelSource, read_labels
from vizlib.layers import (
    LayerInfo,
    default_layers,
    find_layer,
    is_settled,
    own_parameters,
    plain_options,
)
from vizlib.preprocessing import Preprocessing, preprocessing
from vizlib.watching import Handler, StopRunning, operations_by_path, watching
from vizlib.wiring import Wiring

Answer = TypeVar("Answer")
_COMPILED_STEPS_KEPT = 16
_MOST_AT_ONCE = 32
_MAPS_AT_ONCE = 256 * 2**20  # bytes


class Prediction(NamedTuple):
    """One class with the probability that the network gives it."""

    class_index: int
    label: str
    probability: float


@dataclass(frozen=True)
class _Head:
    """The output that answers which class it is."""

    output: int
    kind: heads.HeadKind
    units: int
    traced: bool  # logits can only be found in a traced graph

    @property
    def classes(self) -> int:
        return max(2, self.units)


@dataclass(frozen=True)
class _Call:
    """One call of one layer, as seen while the network looked at a test image."""

    info: LayerInfo
    path: str
    channels_first: bool


class ConvNet:
    """A Keras image network that can be asked what it sees.

    Parameters
    ----------
    model : keras.Model
        Any built model with an image input: functional, sequential or subclassed, nested or not.
        It is never changed.
    preprocess : str
        What the network was trained on, a name in `PREPROCESSINGS`. ``"raw"`` when the model
        rescales by itself.
    labels : sequence of str, mapping or path, optional
        Names of the classes, in any form that `read_labels` takes. A single sigmoid unit has two:
        those for 0 and for 1.
    name : str, optional
        What to call the network; the model's own name by default.
    input_size : int or (height, width), optional
        What to run at, in pixels, for models that take any size. 224 x 224 by default.
    output : int or str, optional
        Which output holds the class scores. The first that looks like it by default.
    other_inputs : mapping of str to array, optional
        Values, without batch axis, of inputs beside the photo. Zeros by default.

    Raises
    ------
    UnsupportedModelError
        If the model has no image input or no layer with maps, or cannot be run here.
    InvalidArgumentError
        If an option contradicts the model.
    """

    def __init__(
        self,
        model: keras.Model,
        preprocess: str = "raw",
        labels: LabelSource | None = None,
        *,
        name: str | None = None,
        input_size: int | tuple[int, int] | None = None,
        output: int | str | None = None,
        other_inputs: Mapping[str, Any] | None = None,
    ) -> None:
        if not isinstance(model, keras.Model):
            raise UnsupportedModelError(
                f"Expected a built keras.Model. Received: {type(model).__name__}. "
                "Load files with vizlib.load_convnet."
            )
        self.model = model
        self.name = name or model.name
        self.preprocess = preprocess
        self._image = find_image_input(model, size=input_size)
        self._preprocessing = preprocessing(preprocess, channels=self._image.channels)
        self._other_inputs = OtherInputs(model, self._image, dict(other_inputs or {}))
        self._paths = operations_by_path(model)
        self._compiled: OrderedDict[Any, Any] = OrderedDict()
        self._compiling = threading.RLock()
        self._calls, outputs = self._look_once()
        self._head = self._find_head(outputs, wanted=output, labelled=labels is not None)
        self.labels = self._checked_labels(labels)

    # What the network takes.

    @property
    def input_size(self) -> tuple[int, int]:
        """``(height, width)`` in pixels of the image the network is run on."""
        return self._image.size

    @property
    def input_channels(self) -> int:
        """1 for grey, 3 for colour."""
        return self._image.channels

    @property
    def preprocessing(self) -> Preprocessing:
        """The numbers behind `preprocess`."""
        return self._preprocessing

    def input_image(self, image: np.ndarray) -> np.ndarray:
        """Show what is left of a photo once it has the network's size and colours.

        The whole photo is squeezed to `input_size`, not cropped, so that every pixel of a heatmap
        belongs to a place in the photo.

        Parameters
        ----------
        image : uint8 array ``(H, W, 3)``

        Returns
        -------
        uint8 array ``(h, w, input_channels)``
        """
        height, width = self.input_size
        pixels = _checked_image(image)
        shrinks = height * width < pixels.shape[0] * pixels.shape[1]
        how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        small = cv2.resize(pixels, (width, height), interpolation=how)
        if self.input_channels == 1:
            return cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)[..., None]
        return small

    def input_tensor(self, image: np.ndarray) -> np.ndarray:
        """Give the exact numbers the network receives for a photo, float32 ``(h, w, channels)``."""
        pixels = self.input_image(image).astype("float32")
        return self._preprocessing.apply(pixels)

    def reading(self, preprocess: str) -> ConvNet:
        """Give the same network, and the same model, with photos prepared in another way.

        Raises
        ------
        InvalidArgumentError
            For an unknown name, or a colour convention asked of a network that takes grey.
        """
        other = self.uncompiled()  # what is compiled holds the preprocessing
        other.preprocess = preprocess
        other._preprocessing = preprocessing(preprocess, channels=self._image.channels)
        return other

    def uncompiled(self) -> ConvNet:
        """Give the same network, and the same model, with nothing compiled yet."""
        other = copy.copy(self)
        other._compiled, other._compiling = OrderedDict(), threading.RLock()
        return other

    @cached_property
    def batch_size(self) -> int:
        """How many photos are run at once in long questions, so that memory stays in bounds.

        1 for a network that is built for one photo at a time.
        """
        if self._image.fixed_batch:
            return 1
        maps = 4 * sum(math.prod(layer.shape) for layer in self.all_layers)
        return max(1, min(_MOST_AT_ONCE, _MAPS_AT_ONCE // maps))

    # What it is made of.

    def digest(self) -> str:
        """SHA-256 of what it computes: its layers, their weights, and how photos are prepared.

        Names do not count. Reads every weight: about a second for VGG16.
        """
        found = hashlib.sha256(repr((self.preprocess, self._image)).encode())
        for operation in self._paths:
            found.update(repr(plain_options(operation)).encode())
        for call in self._calls.values():
            found.update(repr((call.info.kind, call.info.shape)).encode())
        for weight in self.model.weights:
            found.update(np.ascontiguousarray(weight.numpy()).tobytes())
        return found.hexdigest()

    @cached_property
    def layers(self) -> tuple[LayerInfo, ...]:
        """Every layer whose output is a stack of maps, in the order they run."""
        return tuple(call.info for call in self._calls.values() if call.info.is_maps)

    @property
    def all_layers(self) -> tuple[LayerInfo, ...]:
        """Every layer in the order they run, those with vectors included."""
        return tuple(call.info for call in self._calls.values())

    def layer(self, name: str) -> LayerInfo:
        """Find a layer with maps by its path or an unambiguous tail of it.

        Raises
        ------
        UnknownLayerError
            With close matches.
        """
        return find_layer(self.layers, name)

    @cached_property
    def default_layer(self) -> str:
        """Path of the last post-activation maps larger than 1x1 that the class scores rest on."""
        candidates = default_layers(self.layers)
        if not self.is_classifier:
            return candidates[0].name
        blank = np.zeros((*self.input_size, 3), "uint8")
        feeding = (c for c in candidates if self._score_gradient(blank, c.name, 0) is not None)
        return next(feeding, candidates[0]).name

    @cached_property
    def graph(self) -> LayerGraph:
        """Which layers feed which, found by tracing the network, whatever it was written as."""
        wiring, names = Wiring(self._calls), self._input_names()
        shapes: list[tuple[int, ...]] = [()] * len(names)

        def run(batch: Any) -> None:
            given = wiring.inputs(names, self._given(batch))
            shapes[:] = [tuple(tensor.shape[1:]) for tensor in keras.tree.flatten(given)]
            with watching(self.model, self._paths, wiring):
                self.model(given, training=False)

        diagnosis = None
        try:
            self._in_graph(run)
        # Layers of all makes, which run but were never meant to be traced.
        except Exception as error:
            diagnosis = (
                "What feeds each layer is not known in full, as TensorFlow cannot trace this "
                f"network: {first_reason(error)}."
            )
        shapes[self._image.index] = (*self.input_size, self.input_channels)
        inputs = [LayerInfo(name, INPUT, s) for name, s in zip(names, shapes, strict=True)]
        nodes = layer_nodes(inputs, self.all_layers, fed_by=wiring.fed_by, inside=wiring.inside)
        return LayerGraph(nodes, names[self._image.index], diagnosis or wiring.diagnosis)

    # What it says.

    @property
    def is_classifier(self) -> bool:
        """Whether the network has an output with class scores."""
        return self._head is not None

    @property
    def classes(self) -> int:
        """Number of classes; 2 for a single sigmoid unit."""
        return self._classifier().classes

    def label(self, class_index: int) -> str:
        """Name of a class, ``"class 3"`` where no labels were given."""
        return self.labels[class_index] if self.labels else f"class {class_index}"

    def class_index(self, class_index: int) -> int:
        """Check that a class exists.

        Raises
        ------
        InvalidArgumentError
            If it does not.
        """
        if class_index not in range(self.classes):
            raise InvalidArgumentError(
                f"Expected class_index from 0 to {self.classes - 1}. Received: {class_index!r}."
            )
        return int(class_index)

    def scores(self, image: np.ndarray) -> np.ndarray:
        """Logit of every class, float32 ``(classes,)``: the values before softmax or sigmoid."""
        return self.tensor_scores(self.input_tensor(image)[None])[0]

    def tensor_scores(self, tensors: np.ndarray) -> np.ndarray:
        """Logits of changed inputs, whatever their number.

        Parameters
        ----------
        tensors : float32 array ``(n, h, w, channels)``
            As `input_tensor` gives them, at `input_size`. Run `batch_size` at a time, so that
            memory stays in bounds; give no more than that at once to hear of progress.

        Returns
        -------
        float32 array ``(n, classes)``

        Raises
        ------
        InvalidArgumentError
            If the tensors have another shape.
        """
        stack = self._checked_tensors(tensors)
        scores = self._ask("scores", lambda batch: self._scores(self._call(batch)), stack)
        return self._known(scores)

    def predict(self, image: np.ndarray) -> np.ndarray:
        """Probability of every class, float32 ``(classes,)``.

        Sums to 1, except for several sigmoid units, which answer independently of one another.
        A linear head is read as logits.
        """
        return self.probabilities(self.scores(image))

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        """Turn logits ``(classes,)`` into probabilities, as `predict` does."""
        head = self._classifier()
        return heads.probabilities(scores, kind=head.kind, units=head.units)

    def top(self, image: np.ndarray, k: int = 5) -> list[Prediction]:
        """Give the ``k`` most probable classes, best first."""
        return self.ranked(self.predict(image), k)

    def ranked(self, probabilities: np.ndarray, k: int = 5) -> list[Prediction]:
        """Give the ``k`` most probable classes, best first, of the probabilities of all."""
        best = np.argsort(-probabilities, kind="stable")[: max(1, k)]
        return [Prediction(int(i), self.label(i), float(probabilities[i])) for i in best]

    # What its layers see.

    def maps(self, image: np.ndarray, layers: Iterable[str]) -> dict[str, np.ndarray]:
        """Activation of the given layers, each float32 ``(h, w, channels)``, from one run.

        The run ends as soon as the last of them is known.
        """
        return self.read_maps(image, layers, lambda maps: maps)

    def read_maps(
        self, image: np.ndarray, layers: Iterable[str], read: Callable[[np.ndarray], Answer]
    ) -> dict[str, Answer]:
        """Ask something of the maps of many layers, which are kept no longer than it takes.

        Parameters
        ----------
        image : uint8 array ``(H, W, 3)``
        layers : iterable of str
        read : callable
            ``read(maps)`` of each layer's float32 ``(h, w, channels)``, while the network runs.

        Returns
        -------
        dict
            What ``read`` gave, by full path, in the order the layers run.
        """
        wanted = {self.layer(name).name for name in layers}
        found: dict[str, Answer] = {}

        def keep(name: str, _operation: Any, _inputs: Any, run: Callable[[], Any]) -> Any:
            output = run()
            if name in wanted:
                found[name] = read(self._channels_last(name, output)[0].numpy())
                if len(found) == len(wanted):
                    raise StopRunning
            return output

        self._run(self.input_tensor(image)[None], wanted, keep)
        return {layer.name: found[layer.name] for layer in self.layers if layer.name in found}

    def followers(self, layer: str) -> tuple[LayerInfo, ...]:
        """Layers that work on a layer's output in turn, each on what the one before it gave.

        Where several take the same output, the first that runs.

        Raises
        ------
        UnknownLayerError
            If no layer, or more than one, has this name.
        """
        name = self.layer(layer).name
        latest: Any = None
        found: list[LayerInfo] = []

        def follow(called: str, _operation: Any, inputs: Any, run: Callable[[], Any]) -> Any:
            nonlocal latest
            takes = any(given is latest for given in keras.tree.flatten(inputs))
            output = run()
            if called == name or (takes and latest is not None and called in self._calls):
                latest = output
                found.extend([] if called == name else [self._calls[called].info])
            return output

        self._run(self._noise(), self._calls, follow)
        return tuple(found)

    def maps_and_gradient(
        self, image: np.ndarray, layer: str, class_index: int | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Maps of a layer, and the gradient of a class score with respect to them.

        Parameters
        ----------
        image : uint8 array ``(H, W, 3)``
        layer : str
        class_index : int, optional
            The class with the highest score by default.

        Returns
        -------
        maps, gradient : float32 arrays ``(h, w, channels)``
        scores : float32 array ``(classes,)``

        Raises
        ------
        InvalidArgumentError
            If the class scores do not rest on this layer.
        """
        name = self.layer(layer).name
        index = -1 if class_index is None else self.class_index(class_index)
        # Asked again and again of the default layer, but of others in turn, where eager is quicker.
        often = name == self.default_layer
        found = self._score_gradient(image, name, index, traced=often)
        if found is None:
            raise InvalidArgumentError(
                f"Expected a layer that the class scores rest on. Received: {name!r}, which feeds "
                f"another output. Try {self.default_layer!r}."
            )
        return found

    def scores_with_maps(self, image: np.ndarray, layer: str, maps: np.ndarray) -> np.ndarray:
        """Logits that a photo would get if a layer gave other maps than it does.

        What runs before the layer is left out, unless it reaches the scores past the layer.

        Parameters
        ----------
        image : uint8 array ``(H, W, 3)``
        layer : str
        maps : float32 array ``(n, h, w, channels)``
            Of the layer's shape; run `batch_size` at a time.

        Returns
        -------
        float32 array ``(n, classes)``

        Raises
        ------
        InvalidArgumentError
            If the maps have another shape.
        """
        info = self.layer(layer)
        stack = _checked_stack("maps", maps, info.shape)

        def replaced(batch: Any, tensor: Any) -> Any:
            def replace(called: str, _op: Any, _inputs: Any, run: Callable[[], Any]) -> Any:
                output = run()
                return self._own_layout(info.name, batch, output) if called == info.name else output

            photos = tf.repeat(tensor[None], batch.shape[0], axis=0)
            return self._scores(self._run(photos, [info.name], replace))

        # Of a graph, what nothing depends on any more is never computed.
        key = ("scores with maps", info.name)
        return self._known(self._ask(key, replaced, stack, self.input_tensor(image)))

    def tensor_gradients(
        self, tensors: np.ndarray, class_index: int, *, guided: bool = False
    ) -> np.ndarray:
        """Gradient of a class score with respect to what the network receives.

        Parameters
        ----------
        tensors : float32 array ``(n, h, w, channels)``
            As for `tensor_scores`.
        class_index : int
        guided : bool
            Whether ReLUs hand back positive gradient only, as in guided backpropagation.

        Returns
        -------
        float32 array ``(n, h, w, channels)``

        Raises
        ------
        InvalidArgumentError
            If the tensors have another shape, or the class does not exist.
        UnsupportedModelError
            If no gradient reaches the input of this network.
        """
        stack, index = self._checked_tensors(tensors), np.int64(self.class_index(class_index))
        gradient_of = guided_gradient if guided else plain_gradient

        def differentiate(batch: Any, index: Any) -> Any:
            def score(tensor: Any) -> Any:
                return tf.reduce_sum(tf.gather(self._scores(self._call(tensor)), index, axis=1))

            gradient = gradient_of(score, batch)
            if gradient is None:
                raise UnsupportedModelError(
                    "Expected a network whose input can be changed little by little. Received "
                    f"{self.name!r}, which passes no gradient back to it (whole-number input, or "
                    "an operation without gradient). Methods that need none still work: "
                    "occlusion, RISE, Score-CAM."
                )
            return gradient

        key = ("input gradient", guided)
        return self._ask(key, differentiate, stack, index)

    def layer_output(
        self,
        tensor: Any,
        layer: str,
        *,
        compute: Callable[[Any, Any, Callable[[], Any]], Any] | None = None,
        rounded: bool = False,
    ) -> Any:
        """Run a batch up to one layer, differentiably, eagerly or inside a `tf.function`.

        Parameters
        ----------
        tensor : float32 tensor ``(n, h, w, channels)``
            Preprocessed, of any size the layer can be reached with.
        layer : str
        compute : callable, optional
            ``compute(operation, inputs, run)``, called in place of the layer's own call. May give
            several tensors in the layer's layout.
        rounded : bool
            Whether what comes before the layer is computed as `vizlib.bfloat16` does.

        Returns
        -------
        tensor ``(n, h, w, channels)``, float32, channels last; or what ``compute`` gave, likewise
        """
        name = find_layer(self.all_layers, layer).name
        found = []

        def stop(called: str, operation: Any, inputs: Any, run: Callable[[], Any]) -> Any:
            if called != name:
                return run_rounded(operation, inputs, run) if rounded else run()
            found.append(compute(operation, inputs, run) if compute else run())
            raise StopRunning

        self._run(tensor, self._calls if rounded else [name], stop, any_size=True)
        return keras.tree.map_structure(lambda x: self._channels_last(name, x), found[0])

    def differentiable_scores(self, tensor: Any, *, rounded: bool = False) -> Any:
        """Logits of a batch, differentiably, eagerly or inside a `tf.function`.

        Parameters
        ----------
        tensor : float32 tensor ``(n, h, w, channels)``
            Preprocessed, of any size the network can be run on.
        rounded : bool
            Whether the maps are computed as `vizlib.bfloat16` does.

        Returns
        -------
        tensor ``(n, classes)``, float32

        Raises
        ------
        UnsupportedModelError
            If the network has no class scores.
        """
        self._classifier()

        def compute(_called: str, operation: Any, inputs: Any, run: Callable[[], Any]) -> Any:
            return run_rounded(operation, inputs, run)

        outputs = self._run(tensor, self._calls if rounded else [], compute, any_size=True)
        return tf.cast(self._scores(outputs), tf.float32)

    def compiled(self, key: Any, build: Callable[[], Any]) -> Any:
        """Keep the result of ``build()`` with the network, so that it is traced only once.

        The least recently used is dropped beyond a fixed number.
        """
        with self._compiling:
            if key not in self._compiled:
                self._compiled[key] = build()
            self._compiled.move_to_end(key)
            if len(self._compiled) > _COMPILED_STEPS_KEPT:
                self._compiled.popitem(last=False)
            return self._compiled[key]

    def _input_names(self) -> list[str]:
        names: list[str] = []
        for index, name in enumerate(self._other_inputs.names):
            # Keras counts inputs without a name through the whole process.
            photo = index == self._image.index and name.startswith("keras_tensor")
            own = "photo" if photo else name
            while own in self._calls or own in names:
                own += " (input)"
            names.append(own)
        return names

    # How it is run.

    def _ask(
        self, key: Any, function: Callable[..., Any], stack: np.ndarray, *arguments: Any
    ) -> np.ndarray:
        """Answers ``function(batch, *arguments)`` for a stack, in batches of few sizes.

        As graphs, which take a half to a tenth of the time; each size is traced once, so what is
        left over is filled up to a power of two.
        """
        others = [tf.convert_to_tensor(argument) for argument in arguments]

        def ask(part: np.ndarray) -> np.ndarray:
            size = min(self.batch_size, 1 << (len(part) - 1).bit_length())
            given = [tf.convert_to_tensor(_padded(part, size)), *others]
            return self._traced((key, size), function, given)(*given).numpy()[: len(part)]

        starts = range(0, len(stack), self.batch_size)
        return np.concatenate([ask(stack[i : i + self.batch_size]) for i in starts])

    @cached_property
    def _finite(self) -> bool:
        floating = (weight for weight in self.model.weights if "float" in str(weight.dtype))
        return all(bool(tf.reduce_all(tf.math.is_finite(weight.value))) for weight in floating)

    def _known(self, scores: np.ndarray) -> np.ndarray:
        """Scores as they are, or NaN where a weight is no finite number.

        A convolution of TensorFlow followed by a ReLU drops NaN in a graph, but not elsewhere; a
        network without its broken channels is not the one that was asked about.
        """
        return scores if self._finite else np.full_like(scores, np.nan)

    def _traced(self, key: Any, function: Callable[..., Any], given: list[Any]) -> Any:
        """The graph of a function for tensors like those given, kept under a key."""
        # Traced here and not when called: TensorFlow warns where it sees many networks traced.
        specs = list(map(tf.TensorSpec.from_tensor, given))
        graph = tf.function(function, autograph=False)
        return self.compiled(key, lambda: graph.get_concrete_function(*specs))

    def _checked_tensors(self, tensors: Any) -> np.ndarray:
        return _checked_stack("tensors", tensors, (*self.input_size, self.input_channels))

    def _call(self, batch: Any) -> list[Any]:
        return keras.tree.flatten(self.model(self._given(batch), training=False))

    def _given(self, batch: Any) -> Any:
        photos = self._image.arrange(tf.convert_to_tensor(batch))
        return self._other_inputs.beside(photos)

    def _run(
        self, batch: Any, names: Iterable[str], handler: Handler, *, any_size: bool = False
    ) -> list[Any]:
        paths = {self._calls[name].path for name in names}
        operations = {op: path for op, path in self._paths.items() if path in paths}
        try:
            with watching(self.model, operations, handler, any_size=any_size):
                return self._call(batch)
        except StopRunning:
            return []

    def _scores(self, outputs: list[Any]) -> Any:
        head = self._classifier()
        output = outputs[head.output]
        if head.kind == "linear":
            before = output
        elif head.kind == "distribution":
            before = heads.log_probabilities(output)
        else:
            before = heads.logits(output)
        return heads.class_scores(heads.flat_scores(before))

    def _score_gradient(
        self, image: np.ndarray, name: str, class_index: int, *, traced: bool = False
    ) -> Any:
        def differentiate(batch: Any, index: Any) -> Any:
            watched: list[Any] = []
            with tf.GradientTape(watch_accessed_variables=False) as tape:

                def watch(called: str, _op: Any, _inputs: Any, run: Callable[[], Any]) -> Any:
                    output = run()
                    if called == name:
                        tape.watch(output)
                        watched.append(output)
                    return output

                scores = self._scores(self._run(batch, [name], watch))
                score = tf.gather(scores[0], tf.where(index < 0, tf.argmax(scores[0]), index))
            return watched[0], tape.gradient(score, watched[0]), scores[0]

        given = [tf.constant(self.input_tensor(image)[None]), tf.constant(class_index, tf.int64)]
        ask: Callable[..., Any] = differentiate
        # A head hidden from Keras needs the graph.
        if traced or self._classifier().traced:
            ask = self._traced(("gradient", name), differentiate, given)
        maps, gradient, scores = ask(*given)
        if gradient is None:
            return None
        last = (self._channels_last(name, x)[0].numpy() for x in (maps, gradient))
        return *last, self._known(scores.numpy())

    def _own_layout(self, name: str, maps: Any, output: Any) -> Any:
        """Bring channels-last maps into the layout and precision of a layer's own output."""
        if self._calls[name].channels_first:
            maps = tf.transpose(maps, (0, 3, 1, 2))
        return tf.cast(maps, output.dtype)

    def _channels_last(self, name: str, output: Any) -> Any:
        if self._calls[name].channels_first:
            output = tf.transpose(output, (0, 2, 3, 1))
        return tf.cast(output, tf.float32)

    # How it is looked over, once.

    def _look_once(self) -> tuple[dict[str, _Call], list[Any]]:
        batch = self._noise()
        survey = _Survey(channels_first=self._image.channels_first)
        try:
            with watching(self.model, self._paths, survey):
                outputs = self._call(batch)
        except VizlibError:
            raise
        except Exception as error:
            raise UnsupportedModelError(_cannot_run(self.name, batch.shape[1:], error)) from error
        if not any(call.info.is_maps for call in survey.calls.values()):
            kinds = sorted({call.info.kind for call in survey.calls.values()})
            raise UnsupportedModelError(
                "Expected a convolutional network. Received a model in which no layer gives 2-D "
                f"maps; its layers are: {', '.join(kinds) or 'none'}."
            )
        self._features = survey.is_features(outputs)
        return survey.calls, outputs

    def _find_head(
        self, outputs: list[Any], *, wanted: int | str | None, labelled: bool
    ) -> _Head | None:
        if wanted is not None:
            index = self._output_index(wanted, len(outputs))
            return self._describe_head(index, outputs[index])
        class_like = [i for i, output in enumerate(outputs) if _is_class_like(output)]
        heads_found = [self._describe_head(i, outputs[i]) for i in class_like]
        activated = [head for head in heads_found if head.kind != "linear"]
        linear = [h for h in heads_found if labelled or not self._features[h.output]]
        return next(iter([*activated, *linear]), None)

    def _output_index(self, wanted: int | str, count: int) -> int:
        names = list(getattr(self.model, "output_names", None) or [])
        index = names.index(wanted) if wanted in names else wanted
        if index not in range(count):
            raise InvalidArgumentError(
                f"Expected output to be one of {names} or 0 to {count - 1}. Received: {wanted!r}."
            )
        return int(index)

    def _describe_head(self, index: int, output: Any) -> _Head:
        before = heads.logits(output)
        traced = before is None
        if traced:
            before = self._in_graph(lambda batch: heads.logits(self._call(batch)[index]))
        flat = heads.flat_scores(output)[0].numpy()
        values = None if before is None else heads.flat_scores(before)[0].numpy()
        kind = heads.head_kind(flat, values) or self._traced_activation(index)
        return _Head(index, kind, len(flat), traced=traced and before is not None)

    def _traced_activation(self, index: int) -> heads.HeadKind:
        names: list[heads.HeadKind] = []
        self._in_graph(lambda batch: names.append(heads.activation_of(self._call(batch)[index])))
        return names[0]

    def _in_graph(self, function: Callable[[Any], Any]) -> Any:
        return tf.function(function, autograph=False)(self._noise())

    def _noise(self) -> np.ndarray:
        shape = (1, *self.input_size, self.input_channels)
        pixels = np.random.default_rng(0).uniform(0, 255, shape).astype("float32")
        return self._preprocessing.apply(pixels)

    def _classifier(self) -> _Head:
        if self._head is None:
            raise UnsupportedModelError(
                f"Expected a classifier. Received {self.name!r}, none of whose outputs is a list "
                "of class scores. Its activations and filter patterns can be shown all the same."
            )
        return self._head

    def _checked_labels(self, labels: LabelSource | None) -> tuple[str, ...] | None:
        if labels is None:
            return None
        names = read_labels(labels) if labels else ()
        classes = self._head.classes if self._head else 0
        if len(names) != classes:
            raise InvalidArgumentError(
                f"Expected one label for each of the {classes} classes. Received: {len(names)}."
            )
        return names


class _Survey:
    """Takes down every call while the network looks at one test image."""

    def __init__(self, *, channels_first: bool) -> None:
        self.calls: dict[str, _Call] = {}
        self._channels_first = channels_first
        self._latest: tuple[str, Any] = ("", None)

    def __call__(self, name: str, operation: Any, _inputs: Any, run: Callable[[], Any]) -> Any:
        output = run()
        if self._is_new(name, output):
            self._note(name, operation, output)
        return output

    def _is_new(self, name: str, output: Any) -> bool:
        # The result of a nested model is its last layer's, which is already noted.
        inner, latest = self._latest
        inside = inner.startswith(name.partition(":")[0] + "/")
        return tf.is_tensor(output) and not (output is latest and inside)

    def _note(self, name: str, operation: Any, output: Any) -> None:
        data_format = getattr(operation, "data_format", None)
        if data_format is not None:
            self._channels_first = data_format == "channels_first"
        shape = tuple(output.shape[1:])
        maps = len(shape) == 3 and output.shape[0] == 1
        if maps and self._channels_first:
            shape = (*shape[1:], shape[0])
        path, _, repeat = name.partition(":")
        parameters = 0 if repeat else own_parameters(operation)
        kind = type(operation).__name__
        info = LayerInfo(name, kind, shape, parameters, is_settled(operation))
        self.calls[name] = _Call(info, path, maps and self._channels_first)
        self._latest = (name, output)

    def is_features(self, outputs: list[Any]) -> list[bool]:
        """Tell which outputs are pooled features straight from a stack of maps."""
        inner, latest = self._latest
        kind = self.calls[inner].info.kind if inner in self.calls else ""
        pooled = "Pooling" in kind or kind == "Flatten"
        return [pooled and output is latest for output in outputs]


def _checked_image(image: Any) -> np.ndarray:
    is_image = isinstance(image, np.ndarray) and image.ndim == 3 and image.shape[2] == 3
    if not is_image or image.dtype != np.uint8 or image.size == 0:
        shape, dtype = getattr(image, "shape", None), getattr(image, "dtype", type(image).__name__)
        raise InvalidArgumentError(
            "Expected an RGB image: uint8 array (height, width, 3), values 0..255. "
            f"Received: {dtype} {shape if shape is not None else ''}. "
            "vizlib.load_image makes one from any picture file."
        )
    return image


def _checked_stack(name: str, stack: Any, shape: tuple[int, ...]) -> np.ndarray:
    found = np.shape(stack)
    if len(found) != 4 or found[0] == 0 or found[1:] != shape:
        raise InvalidArgumentError(
            f"Expected {name} to be a float array (n, {', '.join(map(str, shape))}). "
            f"Received: {found}."
        )
    return np.asarray(stack, "float32")


def _padded(batch: np.ndarray, size: int) -> Any:
    """Fill a batch up with its last item."""
    return tf.convert_to_tensor(batch[np.minimum(np.arange(size), len(batch) - 1)])


def _is_class_like(output: Any) -> bool:
    shape = tuple(output.shape)
    return output.dtype.is_floating and len(shape) >= 2 and all(n == 1 for n in shape[1:-1])


def _cannot_run(name: str, shape: tuple[int, ...], error: Exception) -> str:
    hint = ""
    if "NCHW" in str(error) or "channels_first" in str(error):
        hint = (
            " TensorFlow runs some channels_first layers on a GPU only: convert the model to "
            "channels_last, or use a machine with a GPU."
        )
    return (
        f"Expected a model that runs on an image of {shape}. Running {name!r} failed: "
        f"{first_reason(error)}.{hint}"
    )
