"""Pixels put in place of others: against a dense solver, and against what is known of means."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vizlib import InvalidArgumentError
from vizlib.fills import FILLS, SUBSTITUTES, filling, substitute
from vizlib.imputation import impute


def dense(pixels: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """The published system, one equation for each missing pixel, solved by LAPACK."""
    height, width, _ = pixels.shape
    places = [tuple(place) for place in np.argwhere(~kept)]
    number = {place: i for i, place in enumerate(places)}
    matrix, right = np.zeros((len(places),) * 2), np.zeros((len(places), pixels.shape[2]))
    for (y, x), i in number.items():
        for dy, dx in [(-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)]:
            weight = 1 / 12 if dy and dx else 1 / 6
            other = (y + dy, x + dx)
            if not (0 <= other[0] < height and 0 <= other[1] < width):
                continue
            matrix[i, i] += weight
            if other in number:
                matrix[i, number[other]] -= weight
            else:
                right[i] += weight * pixels[other]
    filled = pixels.astype("float64")
    filled[~kept] = np.linalg.solve(matrix, right)
    return filled


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(1, 20), st.integers(1, 20)),
    st.sampled_from([1, 3]),
    st.floats(0, 1),
    st.integers(0, 2**32),
)
def test_imputation_solves_the_published_system(size, channels, share, seed):
    rng = np.random.default_rng(seed)
    pixels = rng.uniform(0, 255, (*size, channels))
    kept = rng.random(size) < share
    kept[rng.integers(size[0]), rng.integers(size[1])] = True
    filled = impute(pixels, kept)
    np.testing.assert_allclose(filled, dense(pixels, kept), rtol=0, atol=0.05)
    assert (filled[kept] == pixels[kept].astype("float32")).all()
    assert filled.dtype == np.float32
    # A mean is never beyond what it is the mean of.
    assert filled.min() >= pixels[kept].min() - 0.05
    assert filled.max() <= pixels[kept].max() + 0.05


@pytest.mark.parametrize("size", [(31, 33), (32, 32), (27, 40)])
def test_large_holes_of_any_shape(size):
    rng = np.random.default_rng(0)
    pixels = rng.uniform(0, 255, (*size, 3))
    rough = cv2.resize(rng.random((4, 4)), size[::-1])
    for share in (0.3, 0.95):
        kept = rough >= np.quantile(rough, share)
        np.testing.assert_allclose(impute(pixels, kept), dense(pixels, kept), rtol=0, atol=0.05)


def test_a_hole_in_a_ramp_is_filled_with_the_ramp():
    """A plane is the one surface whose every point is the mean of those around it."""
    y, x = np.mgrid[:227, :150]
    ramp = np.stack([0.5 * x, 0.3 * y + 0.2 * x, 90 + 0 * x], axis=2)
    kept = np.ones((227, 150), bool)
    kept[1:-1, 1:-1] = False
    np.testing.assert_allclose(impute(ramp, kept), ramp, atol=0.05)


def test_one_missing_pixel_by_hand():
    pixels = np.array([[12.0, 24, 36], [48, 0, 60], [72, 84, 96]])[..., None]
    kept = pixels[..., 0] > 0
    expected = (12 + 36 + 72 + 96) / 12 + (24 + 48 + 60 + 84) / 6
    assert impute(pixels, kept)[1, 1, 0] == pytest.approx(expected, abs=1e-3)
    corner = np.ones((3, 3), bool)
    corner[0, 0] = False
    mean = (24 / 6 + 48 / 6) / (1 / 6 + 1 / 6 + 1 / 12)
    assert impute(pixels, corner)[0, 0, 0] == pytest.approx(mean, abs=1e-3)


def test_nothing_and_everything_kept():
    pixels = np.random.default_rng(0).uniform(0, 255, (5, 7, 3))
    np.testing.assert_array_equal(impute(pixels, np.ones((5, 7), bool)), pixels.astype("float32"))
    blank = impute(pixels, np.zeros((5, 7), bool))
    np.testing.assert_allclose(blank, np.broadcast_to(pixels.mean(axis=(0, 1)), pixels.shape), 1e-5)


def test_arguments_stay_as_they_are():
    pixels = np.random.default_rng(0).uniform(0, 255, (9, 9, 3)).astype("float32")
    kept = np.random.default_rng(1).random((9, 9)) < 0.4
    before = pixels.tobytes(), kept.tobytes()
    for name in FILLS:
        filling(name, pixels)(kept)
    assert (pixels.tobytes(), kept.tobytes()) == before


# Fills.


@pytest.mark.parametrize("name", FILLS)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_fill_changes_the_pixels_that_are_out_and_no_others(name, channels):
    pixels = np.random.default_rng(0).integers(1, 256, (20, 16, channels), dtype="uint8")
    kept = np.random.default_rng(1).random((20, 16)) < 0.5
    filled = filling(name, pixels)(kept)
    assert (filled.shape, filled.dtype) == (pixels.shape, np.float32)
    assert (filled[kept] == pixels[kept]).all()
    assert (filled[~kept] != pixels[~kept]).mean() > 0.95


def test_what_is_put_in():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 20, 3), dtype="uint8")
    nothing = np.zeros((40, 20), bool)
    assert not filling("black", pixels)(nothing).any()
    assert not substitute("black", pixels).any()
    blurred = filling("blurred", pixels)(nothing)
    np.testing.assert_allclose(blurred, cv2.GaussianBlur(pixels.astype("float32"), (0, 0), 2.0))
    assert blurred.std() < pixels.std() / 4
    kept = np.random.default_rng(1).random((40, 20)) < 0.5
    noise = filling("imputed", pixels)(kept) - impute(pixels, kept)
    assert not noise[kept].any()
    assert noise[~kept].std() == pytest.approx(2.55, rel=0.1)
    assert abs(noise[~kept].mean()) < 0.3


def test_the_noise_is_that_of_the_seed_whatever_the_mask():
    pixels = np.random.default_rng(0).integers(0, 256, (12, 12, 3), dtype="uint8")
    one, two = (np.random.default_rng(i).random((12, 12)) < 0.5 for i in (1, 2))
    fill = filling("imputed", pixels, seed=4)
    np.testing.assert_array_equal(fill(one), filling("imputed", pixels, seed=4)(one))
    assert (fill(one) != filling("imputed", pixels, seed=5)(one)).any()
    both = ~one & ~two
    noise = [(fill(kept) - impute(pixels, kept))[both] for kept in (one, two)]
    np.testing.assert_allclose(*noise, atol=1e-4)


def test_unknown_fills_are_refused():
    pixels = np.zeros((4, 4, 3), "uint8")
    with pytest.raises(InvalidArgumentError, match=r"black, blurred, imputed\. Received: 'pink'"):
        filling("pink", pixels)
    with pytest.raises(InvalidArgumentError, match=r"black, blurred\. Received: 'imputed'"):
        substitute("imputed", pixels)
    assert set(FILLS) == set(SUBSTITUTES) | {"imputed"}
