"""What all tests share: a quiet TensorFlow and one photo."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest


@pytest.fixture
def photo() -> np.ndarray:
    """A wide RGB image of seeded random squares, uint8 ``(40, 56, 3)``."""
    squares = np.random.default_rng(7).integers(0, 256, (10, 14, 3), dtype="uint8")
    return squares.repeat(4, axis=0).repeat(4, axis=1)
