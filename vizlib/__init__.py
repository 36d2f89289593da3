"""Look inside Keras image networks: activations, filter patterns, class-activation heatmaps."""

from vizlib import faithfulness, render
from vizlib.activations import (
    StrongestChannel,
    activations,
    channel_strength,
    dead_channels,
    strongest_channels,
)
from vizlib.architectures import available_architectures
from vizlib.atlas import FilterAtlas, filter_atlas
from vizlib.attributions import (
    gradient_times_input,
    guided_backprop,
    integrated_gradients,
    saliency,
    smooth_grad,
)
from vizlib.cams import (
    eigen_cam,
    finer_cam,
    grad_cam,
    grad_cam_plus_plus,
    hires_cam,
    layer_cam,
    xgrad_cam,
)
from vizlib.class_weights import ClassesFed, FedClass, classes_fed
from vizlib.confinement import confinement_layers
from vizlib.contributions import Contributions, channel_contributions
from vizlib.convnet import ConvNet, Prediction
from vizlib.convolution_steps import (
    Convolution,
    ConvolutionStep,
    Pooling,
    PoolingStep,
    convolution,
    convolution_layers,
    pooling,
    pooling_layers,
)
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
from vizlib.filters import (
    FILTER_RECIPES,
    FilterPatterns,
    Objective,
    diverse_patterns,
    filter_patterns,
    objectives,
    optimize,
)
from vizlib.graph import LayerGraph, LayerNode
from vizlib.heatmap_methods import HEATMAP_METHODS, LAYER_METHODS, PIXEL_METHODS
from vizlib.heatmaps import Heatmap
from vizlib.images import images_in, load_image
from vizlib.inspection import PreprocessingReport, Reading, inspect_preprocessing
from vizlib.labels import parse_labels, read_labels
from vizlib.layers import LayerInfo
from vizlib.layout import GraphLayout, graph_layout
from vizlib.patches import LayerPeaks, Patch, layer_peaks, peak_patches, top_patches
from vizlib.perturbations import ablation_cam, occlusion, rise, score_cam
from vizlib.preprocessing import PREPROCESSINGS
from vizlib.receptive_field import ReceptiveField, receptive_field
from vizlib.reports import Language, heatmap_manifest, heatmap_report
from vizlib.sliding import Window
from vizlib.version import VERSION
from vizlib.zoo import ZOO, available_convnets, load_convnet

__version__ = VERSION
__all__ = [
    "FILTER_RECIPES",
    "HEATMAP_METHODS",
    "LAYER_METHODS",
    "PIXEL_METHODS",
    "PREPROCESSINGS",
    "ZOO",
    "ClassesFed",
    "Contributions",
    "ConvNet",
    "Convolution",
    "ConvolutionStep",
    "FedClass",
    "FilterAtlas",
    "FilterPatterns",
    "GraphLayout",
    "Heatmap",
    "InvalidArgumentError",
    "Language",
    "LayerGraph",
    "LayerInfo",
    "LayerNode",
    "LayerPeaks",
    "ModelLoadError",
    "Objective",
    "Patch",
    "Pooling",
    "PoolingStep",
    "Prediction",
    "PreprocessingReport",
    "Reading",
    "ReceptiveField",
    "StrongestChannel",
    "UnknownLayerError",
    "UnreadableImageError",
    "UnsafeModelError",
    "UnsupportedModelError",
    "VizlibError",
    "WeightsUnavailableError",
    "Window",
    "ablation_cam",
    "activations",
    "available_architectures",
    "available_convnets",
    "channel_contributions",
    "channel_strength",
    "classes_fed",
    "confinement_layers",
    "convolution",
    "convolution_layers",
    "dead_channels",
    "diverse_patterns",
    "eigen_cam",
    "faithfulness",
    "filter_atlas",
    "filter_patterns",
    "finer_cam",
    "grad_cam",
    "grad_cam_plus_plus",
    "gradient_times_input",
    "graph_layout",
    "guided_backprop",
    "heatmap_manifest",
    "heatmap_report",
    "hires_cam",
    "images_in",
    "inspect_preprocessing",
    "integrated_gradients",
    "layer_cam",
    "layer_peaks",
    "load_convnet",
    "load_image",
    "objectives",
    "occlusion",
    "optimize",
    "parse_labels",
    "peak_patches",
    "pooling",
    "pooling_layers",
    "read_labels",
    "receptive_field",
    "render",
    "rise",
    "saliency",
    "score_cam",
    "smooth_grad",
    "strongest_channels",
    "top_patches",
    "xgrad_cam",
]
