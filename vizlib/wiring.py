"""Takes down, while TensorFlow traces a network, which calls each call takes its numbers from."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import keras
import tensorflow as tf

from vizlib.dependence import nearest, tensor_key


class Wiring:
    """A handler for `watching`, inside a `tf.function`.

    What lies between two layers, as the sums in a subclassed model do, is seen through: the graph
    that TensorFlow traces leads from each output back to the outputs that it was computed from.

    Parameters
    ----------
    layers : collection of str
        Names of the calls that count as layers; others are only what layers are inside of.

    Attributes
    ----------
    fed_by : dict of str to set of str
        For each layer that was called, the layers and inputs it takes its numbers from.
    inside : dict of str to tuple of str
        For each of them, the calls it is a part of, outermost first.
    """

    def __init__(self, layers: Collection[str]) -> None:
        self.fed_by: dict[str, set[str]] = {}
        self.inside: dict[str, tuple[str, ...]] = {}
        self._layers = layers
        self._open: list[str] = []
        self._known: dict[tuple[int, str], str] = {}

    @property
    def diagnosis(self) -> str | None:
        """What is not known, in a sentence, where anything is."""
        unseen = [name for name in self._layers if name not in self.fed_by]
        if not unseen:
            return None
        some = ", ".join(unseen[:3]) + (" …" if len(unseen) > 3 else "")
        return (
            f"What feeds {len(unseen)} of the layers is not known, as TensorFlow runs them in a "
            f"loop: {some}."
        )

    def inputs(self, names: Collection[str], given: Any) -> Any:
        """Note the inputs of a model, by name; returns what to run it on in their place."""
        marked = map(self._marked, names, keras.tree.flatten(given))
        return keras.tree.pack_sequence_as(given, list(marked))

    def __call__(self, name: str, _operation: Any, _inputs: Any, run: Callable[[], Any]) -> Any:
        """Run a call and note what its result was computed from."""
        self._open.append(name)
        output = run()
        self._open.pop()
        if name not in self._layers or not tf.is_tensor(output):
            return output
        self.fed_by[name] = nearest(output, self._known)
        self.inside[name] = tuple(self._open)
        return self._marked(name, output)

    def _marked(self, name: str, tensor: Any) -> Any:
        # A tensor of its own, as layers like dropout give back the very one they take.
        own = tf.identity(tensor)
        self._known[tensor_key(own)] = name
        return own
