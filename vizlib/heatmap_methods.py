"""Every heatmap method by name."""

from __future__ import annotations

from collections.abc import Callable

from vizlib.attributions import ATTRIBUTIONS
from vizlib.cams import CAMS
from vizlib.heatmaps import Heatmap
from vizlib.perturbations import LAYER_PERTURBATIONS, PIXEL_PERTURBATIONS

#: Methods that look at the maps of a layer, by the names people know them by.
LAYER_METHODS: dict[str, Callable[..., Heatmap]] = CAMS | LAYER_PERTURBATIONS

#: Methods that look at pixels; they take a layer like the others and do not use it.
PIXEL_METHODS: dict[str, Callable[..., Heatmap]] = ATTRIBUTIONS | PIXEL_PERTURBATIONS

#: Every heatmap method. All are called as ``method(convnet, image, class_index=, layer=)``; those
#: that run the network many times also take ``progress``.
HEATMAP_METHODS: dict[str, Callable[..., Heatmap]] = LAYER_METHODS | PIXEL_METHODS
