"""The rules of class activation maps: worked out by hand, and against what defines them."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vizlib import cam_rules

MAPS = np.array([[[1.0, 10.0], [2.0, 20.0]]])
GRADIENT = np.array([[[1.0, 0.0], [3.0, -1.0]]])
RULES = (
    *(cam_rules.grad_cam, cam_rules.hires_cam, cam_rules.layer_cam, cam_rules.xgrad_cam),
    cam_rules.grad_cam_plus_plus,
)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        # Mean gradients 2 and -1/2.
        (cam_rules.grad_cam, [2 - 5, 4 - 10]),
        (cam_rules.hires_cam, [1 * 1 + 10 * 0, 2 * 3 - 20 * 1]),
        (cam_rules.layer_cam, [1 * 1, 2 * 3]),
        # Maps add up to 3 and 30, maps times gradients to 7 and -20.
        (cam_rules.xgrad_cam, [1 * 7 / 3 - 10 * 20 / 30, 2 * 7 / 3 - 20 * 20 / 30]),
        # The first map alone: 1 / (2 + 3·1) + 3 / (2 + 3·3).
        (cam_rules.grad_cam_plus_plus, [1 / 5 + 3 / 11, 2 * (1 / 5 + 3 / 11)]),
    ],
)
def test_each_rule_by_hand(rule, expected):
    values = rule(MAPS, GRADIENT)
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, [expected], rtol=1e-6)


def test_eigen_cam_by_hand():
    """All places lie on (1, 10), which has the length √101; the second twice as far out."""
    values = cam_rules.eigen_cam(MAPS)
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, [[101**0.5, 2 * 101**0.5]], rtol=1e-6)


def test_arguments_are_left_alone():
    maps, gradient = MAPS.copy(), GRADIENT.copy()
    for rule in RULES:
        rule(maps, gradient)
    cam_rules.eigen_cam(maps)
    np.testing.assert_array_equal(maps, MAPS)
    np.testing.assert_array_equal(gradient, GRADIENT)


numbers = st.floats(-4, 4, width=16).filter(lambda x: x == 0 or abs(x) > 1e-2)
above = st.floats(0, 4, width=16).filter(lambda x: x == 0 or x > 1e-2)
SHAPE = (3, 4, 5)
fired = arrays("float64", SHAPE, elements=above)
signed = arrays("float64", SHAPE, elements=numbers)


@given(fired, signed)
def test_xgrad_cam_keeps_the_sum_of_hires_cam(maps, gradient):
    np.testing.assert_allclose(
        cam_rules.xgrad_cam(maps, gradient).sum(),
        cam_rules.hires_cam(maps, gradient).sum(),
        atol=1e-3,
    )


@given(fired, arrays("float64", SHAPE[-1:], elements=numbers))
def test_three_rules_agree_where_a_gradient_is_the_same_everywhere(maps, weights):
    gradient = np.broadcast_to(weights, maps.shape)
    expected = maps @ weights
    for rule in (cam_rules.grad_cam, cam_rules.hires_cam, cam_rules.xgrad_cam):
        np.testing.assert_allclose(rule(maps, gradient), expected, atol=1e-4)
    np.testing.assert_allclose(
        cam_rules.layer_cam(maps, gradient), maps @ np.maximum(weights, 0), atol=1e-4
    )


@given(fired, signed)
def test_the_parts_for_and_against_make_hires_cam(maps, gradient):
    against = cam_rules.layer_cam(maps, -gradient)
    np.testing.assert_allclose(
        cam_rules.layer_cam(maps, gradient) - against,
        cam_rules.hires_cam(maps, gradient),
        atol=1e-4,
    )


@given(fired, signed)
def test_grad_cam_plus_plus_is_the_published_formula(maps, gradient):
    """Chattopadhay et al., equation 19, where it is defined."""
    squares, cubes = gradient**2, gradient**3
    below = 2 * squares + maps.sum(axis=(0, 1)) * cubes
    assume((np.abs(below) > 1e-6)[gradient > 0].all())
    alpha = np.where(gradient > 0, squares / np.where(gradient > 0, below, 1), 0)
    weights = (alpha * np.maximum(gradient, 0)).sum(axis=(0, 1))
    np.testing.assert_allclose(
        cam_rules.grad_cam_plus_plus(maps, gradient), maps @ weights, rtol=1e-5, atol=1e-5
    )


def test_silent_maps_count_for_nothing():
    maps = np.concatenate([MAPS, np.zeros_like(MAPS)], axis=2)
    gradient = np.concatenate([GRADIENT, 7 * np.ones_like(GRADIENT)], axis=2)
    for rule in RULES:
        np.testing.assert_array_equal(rule(maps, gradient), rule(MAPS, GRADIENT))


def test_maps_that_cancel_out_give_no_weight_that_is_not_finite():
    maps = np.array([[[1.0], [-1.0]]])
    assert cam_rules.xgrad_cam(maps, np.array([[[1.0], [3.0]]])).tolist() == [[0, 0]]
    gradient = np.full((1, 2, 1), 1.0)
    below_zero = np.array([[[-3.0], [1.0]]])
    assert cam_rules.plus_plus_divisor(below_zero, gradient).tolist() == [[[0], [0]]]
    assert cam_rules.grad_cam_plus_plus(below_zero, gradient).tolist() == [[0, 0]]


@pytest.mark.parametrize("shape", [(3, 4, 5), (2, 2, 9), (6, 5, 1), (1, 1, 3)])
def test_eigen_cam_is_the_projection_on_the_first_singular_vector(shape):
    maps = np.random.default_rng(3).normal(0.2, 1, shape)
    right = np.linalg.svd(maps.reshape(-1, shape[2]))[2][0]
    expected = maps @ right
    expected *= np.sign(expected.sum())
    np.testing.assert_allclose(cam_rules.eigen_cam(maps), expected, atol=1e-5)
    np.testing.assert_allclose(cam_rules.eigen_cam(-maps), expected, atol=1e-5)


def test_eigen_cam_of_maps_after_a_relu_is_nowhere_below_zero():
    maps = np.maximum(np.random.default_rng(3).normal(0, 1, (6, 7, 8)), 0)
    assert cam_rules.eigen_cam(maps).min() >= 0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_eigen_cam_of_what_is_not_finite_is_not_finite(value):
    maps = np.ones((2, 2, 3))
    maps[0, 1, 2] = value
    assert np.isnan(cam_rules.eigen_cam(maps)).all()


def test_eigen_cam_of_nothing_is_nothing():
    assert not cam_rules.eigen_cam(np.zeros((3, 2, 4))).any()
