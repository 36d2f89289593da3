"""Does a heatmap depend on the network at all? Its weights are exchanged, and it is made again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from vizlib.batches import Progress
from vizlib.checks import checked_integer
from vizlib.convnet import ConvNet
from vizlib.errors import InvalidArgumentError
from vizlib.heatmap_methods import HEATMAP_METHODS
from vizlib.heatmaps import INPUT, Heatmap
from vizlib.similarity import rank_correlation, structural_similarity
from vizlib.watching import children, operations_by_path

Method = Callable[..., Heatmap]

#: Rank correlation from which on two maps show the same. Grad-CAM of shuffled networks stays below
#: 0.65 by chance (72 trials on two networks and three photos).
SAME = 0.7


@dataclass(frozen=True)
class RandomizationCheck:
    """What becomes of a heatmap while the network forgets, from the head down.

    Attributes
    ----------
    layers : tuple of str
        For each stage the layer that, with all that run after it, lost what it had learned. The
        first stage is the head alone; in the last one nothing is left of the training.
    heatmaps : tuple of Heatmap
    rank_correlation : float64 array ``(stages,)``
        Spearman's, with the original heatmap, -1 to 1. 0 where one of the two is constant.
    ssim : float64 array ``(stages,)``
        Structural similarity to the original, both divided by their largest absolute value.
    """

    layers: tuple[str, ...]
    heatmaps: tuple[Heatmap, ...]
    rank_correlation: np.ndarray
    ssim: np.ndarray

    @property
    def depends_on_network(self) -> bool:
        """Whether the heatmap is another one once all weights are random, as it has to be."""
        return bool(abs(self.rank_correlation[-1]) < SAME)

    @property
    def depends_on_head(self) -> bool:
        """Whether the heatmap is another one once the layer that tells classes apart is random."""
        return bool(abs(self.rank_correlation[0]) < SAME)

    @property
    def diagnosis(self) -> str | None:
        """A sentence saying what the heatmap does not depend on, or None."""
        first, last = self.rank_correlation[0], self.rank_correlation[-1]
        if not self.depends_on_network:
            return (
                "The map stays what it is when all that the network has learned is shuffled (rank "
                f"correlation {last:.2f}): it shows the photo, not the network."
            )
        if not self.depends_on_head:
            return (
                f"The map stays what it is when {self.layers[0]!r}, the layer that tells classes "
                f"apart, is shuffled (rank correlation {first:.2f}): it is not about this class."
            )
        return None


def randomization_check(
    convnet: ConvNet,
    image: np.ndarray,
    heatmap: Heatmap,
    *,
    method: Method | None = None,
    stages: int = 8,
    seed: int = 0,
    progress: Progress | None = None,
) -> RandomizationCheck:
    """Make a heatmap again and again while the network loses what it has learned, head first.

    A heatmap that stays as it is shows edges of the photo, and nothing of the network.

    Parameters
    ----------
    convnet : ConvNet
        Neither changed nor disturbed: other threads get its own answers all the while. A layer
        that keeps a `tf.function` of its own keeps its weights, too.
    image : uint8 array ``(H, W, 3)``
    heatmap : Heatmap
        The one to be checked: its method, class and layer. It is made anew for the comparison.
    method : callable, optional
        What made it; the method of its name in `HEATMAP_METHODS` by default. To give options,
        wrap it: ``functools.partial(vizlib.smooth_grad, samples=8)``.
    stages : int
        Layers with weights are taken in so many groups, the head alone first. No more than there
        are layers with weights.
    seed : int
    progress : callable, optional
        ``progress(done, total)`` after each stage. Raising cancels.

    Returns
    -------
    RandomizationCheck
        After one run of ``method`` for each stage, and one before them.

    Raises
    ------
    InvalidArgumentError
        If the method is not known, the number of stages is not at least 2, or the class is none
        of this network's.

    References
    ----------
    J. Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018,
    https://arxiv.org/abs/1810.03292, cascading randomisation. Here each layer keeps its numbers,
    in random order: mean and standard deviation stay exactly, and variances stay positive.
    """
    convnet.class_index(heatmap.class_index)
    count = checked_integer("stages", stages, low=2)
    rng = np.random.default_rng(checked_integer("seed", seed, low=0))
    made_by = method or _method_named(heatmap.method)
    # Made anew, with the options that the others will have.
    original = _made(convnet, image, heatmap, made_by)
    groups = _groups(convnet, image, count)
    shuffled: list[tuple[Any, np.ndarray]] = []
    found: list[Heatmap] = []
    for number, (_, variables) in enumerate(groups, start=1):
        shuffled += [(variable, _shuffled(variable, rng)) for variable in variables]
        with _other_weights(convnet, shuffled) as changed:
            found.append(_made(changed, image, heatmap, made_by))
        if progress is not None:
            progress(number, len(groups))
    return RandomizationCheck(
        layers=tuple(layer for layer, _ in groups),
        heatmaps=tuple(found),
        rank_correlation=np.array([rank_correlation(original.values, f.values) for f in found]),
        ssim=np.array([structural_similarity(original.values, f.values) for f in found]),
    )


def _method_named(name: str) -> Method:
    if name not in HEATMAP_METHODS:
        raise InvalidArgumentError(
            f"Expected a heatmap made by one of {', '.join(HEATMAP_METHODS)}. Received one made by "
            f"{name!r}: give the function as method."
        )
    return HEATMAP_METHODS[name]


def _made(convnet: ConvNet, image: np.ndarray, heatmap: Heatmap, method: Method) -> Heatmap:
    """The heatmap of the same class and layer, from a network that may be another by now."""
    layer = None if heatmap.layer == INPUT else heatmap.layer
    return method(convnet, image, class_index=heatmap.class_index, layer=layer)


# Other weights, for this thread and this run only.


@contextmanager
def _other_weights(convnet: ConvNet, weights: list[tuple[Any, np.ndarray]]) -> Iterator[ConvNet]:
    """Give a network that, in this thread and inside the block, computes with other weights.

    Keras looks a variable up in the scope of the thread that asks for it, so that the variables
    themselves are never written. Steps that were compiled before know nothing of the scope, and
    those compiled inside it must not outlive it: the network given has an empty store for them.
    """
    with keras.StatelessScope(state_mapping=weights, initialize_variables=False):
        yield convnet.uncompiled()


def _shuffled(variable: Any, rng: np.random.Generator) -> np.ndarray:
    return rng.permuted(variable.numpy(), axis=None)


def _groups(convnet: ConvNet, image: np.ndarray, stages: int) -> list[tuple[str, list[Any]]]:
    """Layers with weights from the head down, in groups: name of the lowest, and variables."""
    layers = _from_the_head(convnet, image)
    bounds = np.linspace(1, len(layers), min(stages, len(layers))).astype(int)
    parts = [layers[a:b] for a, b in zip([0, *bounds], bounds, strict=False)]
    return [(part[-1][0], [v for _, own in part for v in own]) for part in parts]


def _from_the_head(convnet: ConvNet, image: np.ndarray) -> list[tuple[str, list[Any]]]:
    """Layers with weights of their own, last first, from the one that gives the class scores."""
    before, rng = convnet.scores(image), np.random.default_rng(0)
    layers = _weights_by_layer(convnet)[::-1]
    for number, (_, variables) in enumerate(layers):
        weights = [(variable, _shuffled(variable, rng)) for variable in variables]
        with _other_weights(convnet, weights) as changed:
            if not np.array_equal(changed.scores(image), before):
                return layers[number:]
    raise InvalidArgumentError(
        f"Expected a network with weights to exchange. Received: {convnet.name!r}, whose class "
        "scores stay the same whatever is exchanged."
    )


def _weights_by_layer(convnet: ConvNet) -> list[tuple[str, list[Any]]]:
    """Path and own variables of each layer that has some, in the order they run."""
    paths = {convnet.model: convnet.model.name, **operations_by_path(convnet.model)}
    order = {layer.name: number for number, layer in enumerate(convnet.all_layers)}
    found = sorted(paths.items(), key=lambda item: order.get(item[1], -1))
    with_own = [(path, _own_variables(layer)) for layer, path in found]
    return [(path, variables) for path, variables in with_own if variables]


def _own_variables(layer: Any) -> list[Any]:
    """Numbers of a layer without those of the layers inside it."""
    if not isinstance(layer, keras.Layer):
        return []
    inside = (child.variables for child in children(layer) if isinstance(child, keras.Layer))
    known = {id(variable) for variables in inside for variable in variables}
    return [v for v in layer.variables if id(v) not in known and "float" in v.dtype]
