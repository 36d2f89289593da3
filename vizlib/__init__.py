"""Look inside Keras image networks: activations, filter patterns, class-activation heatmaps."""

from vizlib import render
from vizlib.activations import activations, channel_strength, dead_channels
from vizlib.confinement import confinement_layers
from vizlib.convnet import ConvNet, Prediction
from vizlib.errors import (
    InvalidArgumentError,
    ModelLoadError,
    UnknownLayerError,
    UnreadableImageError,
    UnsafeModelError,
    UnsupportedModelError,
    VizlibError,
    WeightsUnavailableError,
)
from vizlib.filters import FILTER_RECIPES, FilterPatterns, filter_patterns
from vizlib.heatmaps import HEATMAP_METHODS, Heatmap, grad_cam
from vizlib.images import load_image
from vizlib.layers import LayerInfo
from vizlib.preprocessing import PREPROCESSINGS
from vizlib.version import VERSION
from vizlib.zoo import ZOO, available_convnets, load_convnet

__version__ = VERSION
__all__ = [
    "FILTER_RECIPES",
    "HEATMAP_METHODS",
    "PREPROCESSINGS",
    "ZOO",
    "ConvNet",
    "FilterPatterns",
    "Heatmap",
    "InvalidArgumentError",
    "LayerInfo",
    "ModelLoadError",
    "Prediction",
    "UnknownLayerError",
    "UnreadableImageError",
    "UnsafeModelError",
    "UnsupportedModelError",
    "VizlibError",
    "WeightsUnavailableError",
    "activations",
    "available_convnets",
    "channel_strength",
    "confinement_layers",
    "dead_channels",
    "filter_patterns",
    "grad_cam",
    "load_convnet",
    "load_image",
    "render",
]
