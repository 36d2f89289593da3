"""Boxes and the strongest place of a heatmap, by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vizlib import Heatmap, InvalidArgumentError
from vizlib.faithfulness import Box, bounding_box, overlap, pointing_game

PHOTO = np.zeros((40, 80, 3), "uint8")


def heatmap_of(values) -> Heatmap:
    return Heatmap(np.array(values, "float32"), "Grad-CAM", "c2", 0, 1.0, None)


def single(row: int, column: int, shape=(4, 4)) -> Heatmap:
    values = np.zeros(shape)
    values[row, column] = 3
    return heatmap_of(values)


# The pointing game.


def test_a_class_decided_by_one_quadrant_is_always_hit():
    corners = {(0, 0): (0, 0), (0, 1): (40, 0), (1, 0): (0, 20), (1, 1): (40, 20)}
    rounds = [
        (quadrant == corner, pointing_game(PHOTO, single(*quadrant, (2, 2)), box))
        for quadrant in corners
        for corner, (left, top) in corners.items()
        for box in [(left, top, left + 40, top + 20)]
    ]
    assert all(found.hit == expected for expected, found in rounds)
    assert {found.chance for _, found in rounds} == {0.25}
    assert np.mean([found.hit for expected, found in rounds if expected]) == 1


def test_the_place_in_pixels_of_the_photo():
    found = pointing_game(PHOTO, single(1, 3), (0, 0, 80, 40))
    assert found.points == ((70.0, 15.0),)
    assert found.hit
    assert found.chance == 1


def test_the_edges_of_the_box():
    heatmap = single(1, 3)
    assert pointing_game(PHOTO, heatmap, (70, 15, 71, 16)).hit
    assert not pointing_game(PHOTO, heatmap, (71, 15, 72, 16)).hit
    assert not pointing_game(PHOTO, heatmap, (69, 15, 70, 16)).hit
    assert not pointing_game(PHOTO, heatmap, (70, 14, 71, 15)).hit


def test_the_tolerance_widens_the_box_but_not_the_photo():
    heatmap = single(1, 3)
    assert not pointing_game(PHOTO, heatmap, (0, 0, 60, 40)).hit
    assert not pointing_game(PHOTO, heatmap, (0, 0, 60, 40), tolerance=10).hit
    wide = pointing_game(PHOTO, heatmap, (0, 0, 60, 40), tolerance=11)
    assert wide.hit
    assert wide.chance == 71 / 80


@pytest.mark.parametrize(
    "box", [(75, 10, 80, 20), (60, 10, 66, 20), (60, 20, 80, 30), (60, 5, 80, 11)]
)
def test_the_tolerance_counts_on_every_side(box):
    heatmap = single(1, 3)
    assert not pointing_game(PHOTO, heatmap, box, tolerance=4).hit
    assert pointing_game(PHOTO, heatmap, box, tolerance=5).hit


def test_a_map_without_a_peak_points_at_nothing():
    shared = heatmap_of([[5, 1], [1, 5]])
    assert not pointing_game(PHOTO, shared, (0, 0, 40, 20)).hit
    assert pointing_game(PHOTO, shared, (0, 0, 80, 40)).hit
    for constant in (np.zeros((2, 2)), np.full((1, 1), 3.0)):
        found = pointing_game(PHOTO, heatmap_of(constant), (0, 0, 80, 40))
        assert (found.hit, found.points) == (False, ())


# Boxes.


def test_the_box_of_the_largest_area_by_hand():
    """At the photo's own size nothing is interpolated."""
    values = np.zeros((40, 80))
    values[3:5, 3:5] = 10
    values[20:30, 50:65] = 2
    assert bounding_box(PHOTO, heatmap_of(values)) == (50, 20, 65, 30)
    assert bounding_box(PHOTO, heatmap_of(values), threshold=0.21) == (3, 3, 5, 5)
    assert bounding_box(PHOTO, heatmap_of(7 * values)) == Box(50, 20, 65, 30)


def test_places_that_touch_at_a_corner_belong_together():
    values = np.zeros((40, 80))
    values[0, 0] = values[1, 1] = values[2, 2] = 1
    values[9, 9:11] = 1
    assert bounding_box(PHOTO, heatmap_of(values)) == (0, 0, 3, 3)


def test_a_box_from_a_small_map():
    left, top, right, bottom = bounding_box(PHOTO, single(1, 3), threshold=0.5)
    # Half of the peak is reached half a place away from its centre, or further at the border.
    assert (left, right) == (60, 80)
    assert (top, bottom) == (10, 20)


def test_no_box_where_nothing_speaks_for_the_class():
    assert bounding_box(PHOTO, heatmap_of(np.zeros((4, 4)))) is None
    assert bounding_box(PHOTO, heatmap_of(-np.ones((4, 4)))) is None


@pytest.mark.parametrize("threshold", [0, -0.1, 1.5, float("nan")])
def test_thresholds_out_of_range(threshold):
    with pytest.raises(InvalidArgumentError, match="threshold above 0 and up to 1"):
        bounding_box(PHOTO, single(0, 0), threshold=threshold)


# Overlap.


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((0, 0, 10, 10), (0, 0, 10, 10), 1),
        ((0, 0, 10, 10), (5, 0, 15, 10), 50 / 150),
        ((0, 0, 10, 10), (5, 5, 15, 15), 25 / 175),
        ((0, 0, 10, 10), (2, 3, 4, 5), 4 / 100),
        ((0, 0, 10, 10), (10, 0, 20, 10), 0),
        ((0, 0, 10, 10), (12, 12, 20, 20), 0),
    ],
)
def test_overlap_by_hand(one, other, expected):
    assert overlap(one, other) == pytest.approx(expected)
    assert overlap(other, one) == pytest.approx(expected)


boxes = st.tuples(*[st.integers(0, 30)] * 2, *[st.integers(1, 30)] * 2).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)


@settings(deadline=None)
@given(boxes, boxes)
def test_overlap_counts_pixels(one, other):
    def covered(box):
        canvas = np.zeros((60, 60), bool)
        canvas[box[1] : box[3], box[0] : box[2]] = True
        return canvas

    a, b = covered(one), covered(other)
    assert overlap(one, other) == pytest.approx((a & b).sum() / (a | b).sum())


@pytest.mark.parametrize("box", [(5, 5, 5, 9), (5, 9, 9, 5), (0, 0, 81, 40), (0, 0, 80, 41), (1,)])
def test_boxes_that_hold_nothing_or_leave_the_photo(box):
    with pytest.raises(InvalidArgumentError, match="within 80 x 40"):
        pointing_game(PHOTO, single(0, 0), box)


def test_other_bad_arguments():
    with pytest.raises(InvalidArgumentError, match="whole number of at least 0"):
        pointing_game(PHOTO, single(0, 0), (-1, 0, 5, 5))
    with pytest.raises(InvalidArgumentError, match="tolerance"):
        pointing_game(PHOTO, single(0, 0), (0, 0, 5, 5), tolerance=-1)
    with pytest.raises(InvalidArgumentError, match="at least one pixel"):
        overlap((0, 0, 1, 1), (1, 1, 1, 1))
