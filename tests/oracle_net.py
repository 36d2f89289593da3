"""The network of `oracle/`, its images, and what independent libraries say about them."""

from pathlib import Path

import cv2
import keras
import numpy as np
from keras import layers

from vizlib import ConvNet

ORACLE = Path(__file__).parent / "oracle"


def load() -> tuple[ConvNet, np.ndarray, dict[str, np.ndarray]]:
    model = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            layers.Conv2D(8, 3, activation="relu", padding="same", name="c1"),
            layers.MaxPooling2D(),
            layers.Conv2D(8, 3, activation="relu", padding="same", name="c2"),
            layers.Flatten(),
            layers.Dense(4, name="out"),
        ]
    )
    model.load_weights(ORACLE / "weights.weights.h5")
    with np.load(ORACLE / "expected.npz") as expected:
        return ConvNet(model, preprocess="unit"), np.load(ORACLE / "images.npy"), dict(expected)


def as_shown_by_pytorch_grad_cam(values: np.ndarray) -> np.ndarray:
    """After ReLU, less the minimum, scaled to 0..1, and the same once more at 32 x 32."""

    def scaled(heatmap):
        heatmap = heatmap - heatmap.min()
        return heatmap / (1e-7 + heatmap.max())

    return scaled(np.maximum(cv2.resize(scaled(np.maximum(values, 0)), (32, 32)), 0))
