"""Ask any heatmap method so that it answers at once."""

import numpy as np

import vizlib

QUICK = {
    "SmoothGrad": {"samples": 4},
    "Integrated Gradients": {"steps": 16},
    "Occlusion": {"patch": 4},
    "RISE": {"samples": 12, "cells": 3},
}
METHODS = list(vizlib.HEATMAP_METHODS)
LOOPING = ["Score-CAM", "Ablation-CAM", "SmoothGrad", "Integrated Gradients", "Occlusion", "RISE"]


def ask(method: str, convnet: vizlib.ConvNet, photo: np.ndarray, **options) -> vizlib.Heatmap:
    return vizlib.HEATMAP_METHODS[method](convnet, photo, **QUICK.get(method, {}) | options)
