"""Tests of heatmaps, on networks small enough to work every answer out by hand."""

import dataclasses
import itertools

import keras
import nets
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

import vizlib
from vizlib import ConvNet, Heatmap, InvalidArgumentError, UnsupportedModelError
from vizlib.faithfulness import (
    ConfidenceChange,
    Curve,
    Measure,
    PixelTest,
    average_drop,
    completeness,
    confidence_change,
    deletion,
    insertion,
    layer_sweep,
    measures,
    mu_fidelity,
    road,
    verdict,
)
from vizlib.fills import substitute
from vizlib.trials import ranks, with_rivals

CLASSIFIERS = sorted(set(nets.KINDS) - nets.NOT_CLASSIFIERS)


def linear_net(weights, bias: float = 0.0) -> ConvNet:
    """Class 0 scores ``sum(weights * red) + bias``, class 1 always 0."""
    weights = np.asarray(weights, "float32")
    image = keras.Input((*weights.shape, 3))
    maps = layers.Conv2D(1, 1, use_bias=False, name="red")(image)
    model = keras.Model(image, layers.Dense(2, name="out")(layers.Flatten()(maps)))
    model.get_layer("red").set_weights([np.array([1.0, 0, 0]).reshape(1, 1, 3, 1)])
    kernel = np.stack([weights.ravel(), 0 * weights.ravel()], axis=1)
    model.get_layer("out").set_weights([kernel, np.array([bias, 0.0])])
    return ConvNet(model)


def photo_of(red) -> np.ndarray:
    """A photo with the given red and some green and blue."""
    red = np.asarray(red)
    return np.stack([red, np.full_like(red, 77), 255 - red], axis=2).astype("uint8")


def heatmap_of(values, class_index: int = 0, layer: str = "red") -> Heatmap:
    return Heatmap(np.array(values, "float32"), "Grad-CAM", layer, class_index, 0.0, None)


def sigmoid(x):
    return 1 / (1 + np.exp(-np.asarray(x, "float64")))


RED = [[4, 3], [1, 2]]


# Curves by hand.


def test_perfect_curves_by_hand():
    """Pixels 4, 3, 2, 1 go in that order: 10 is left at first, then 6, 3, 1 and nothing."""
    convnet = linear_net(np.ones((2, 2)))
    test = deletion(convnet, photo_of(RED), heatmap_of(RED), steps=4, random_maps=3)
    np.testing.assert_allclose(test.heatmap.fractions, [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(test.heatmap.scores, [10, 6, 3, 1, 0])
    np.testing.assert_allclose(test.heatmap.probabilities, sigmoid([10, 6, 3, 1, 0]), rtol=1e-6)
    assert test.heatmap.mean_score == pytest.approx((10 / 2 + 6 + 3 + 1 + 0 / 2) / 4)
    p = sigmoid([10, 6, 3, 1, 0])
    assert test.heatmap.area == pytest.approx((p[0] / 2 + p[1] + p[2] + p[3] + p[4] / 2) / 4)
    rising = insertion(convnet, photo_of(RED), heatmap_of(RED), steps=4, fill="black")
    np.testing.assert_allclose(rising.heatmap.scores, [0, 4, 7, 9, 10])
    assert rising.heatmap.mean_score == pytest.approx((0 / 2 + 4 + 7 + 9 + 10 / 2) / 4)
    assert (test.kind, rising.kind, test.fill) == ("deletion", "insertion", "black")


def test_no_other_order_is_better():
    convnet, photo = linear_net(np.ones((2, 2))), photo_of(RED)
    for kind, sign in ((deletion, -1), (insertion, 1)):
        means = {
            order: kind(
                convnet, photo, heatmap_of(np.reshape(order, (2, 2))), fill="black", steps=4
            )
            for order in itertools.permutations([4, 3, 2, 1])
        }
        best = max(means, key=lambda order: sign * means[order].heatmap.mean_score)
        assert best == tuple(np.ravel(RED))


def quadrant(row: int, column: int, side: int = 8) -> np.ndarray:
    half = side // 2
    weights = np.zeros((side, side))
    weights[row * half : (row + 1) * half, column * half : (column + 1) * half] = 0.01
    return weights


@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_a_class_decided_by_one_quadrant_is_gone_with_it(row, column):
    convnet = linear_net(quadrant(row, column))
    photo = photo_of(np.random.default_rng(0).integers(1, 255, (8, 8)))
    values = np.zeros((2, 2))
    values[row, column] = 1
    falling = deletion(convnet, photo, heatmap_of(values), steps=64).heatmap
    assert (np.diff(falling.scores[:17]) < 0).all()
    np.testing.assert_allclose(falling.scores[16:], 0, atol=1e-6)
    assert falling.fractions[16] == 0.25
    rising = insertion(convnet, photo, heatmap_of(values), steps=64, fill="black").heatmap
    assert (np.diff(rising.scores[:17]) > 0).all()
    np.testing.assert_allclose(rising.scores[16:], convnet.scores(photo)[0], rtol=1e-5)
    # The opposite quadrant first: nothing happens before half the photo is gone.
    wrong = deletion(convnet, photo, heatmap_of(values[::-1, ::-1]), steps=64).heatmap
    np.testing.assert_allclose(wrong.scores[:17], convnet.scores(photo)[0], rtol=1e-5)


def test_the_class_of_the_heatmap_is_watched():
    convnet = linear_net(np.ones((2, 2)), bias=5)
    test = deletion(convnet, photo_of(RED), heatmap_of(RED, class_index=1), steps=4)
    np.testing.assert_allclose(test.heatmap.scores, 0)
    np.testing.assert_allclose(test.heatmap.probabilities, 1 - sigmoid([15, 11, 8, 6, 5]), 1e-4)


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_curves_of_every_kind_of_network_start_and_end_where_they_must(kind, photo):
    convnet = nets.open_net(kind)
    heatmap = vizlib.grad_cam(convnet, photo)
    index = heatmap.class_index
    black = np.zeros_like(photo)
    falling = deletion(convnet, photo, heatmap, steps=2, random_maps=1)
    for curve in (falling.heatmap, falling.centre, *falling.random):
        np.testing.assert_allclose(curve.scores[0], convnet.scores(photo)[index], atol=1e-5)
        np.testing.assert_allclose(curve.scores[-1], convnet.scores(black)[index], atol=1e-5)
        np.testing.assert_allclose(
            curve.probabilities[[0, -1]],
            [convnet.predict(photo)[index], convnet.predict(black)[index]],
            atol=1e-5,
        )
    rising = insertion(convnet, photo, heatmap, steps=2, random_maps=1)
    np.testing.assert_allclose(rising.heatmap.scores[-1], convnet.scores(photo)[index], atol=1e-5)


def test_curves_equal_those_of_a_plain_loop(photo):
    convnet = nets.open_net("functional")
    heatmap = vizlib.grad_cam(convnet, photo, class_index=2)
    test = insertion(convnet, photo, heatmap, steps=7, random_maps=1)
    pixels = convnet.input_image(photo).astype("float32")
    shown = vizlib.render.resize_map(heatmap.values, (16, 16)).ravel()
    order = np.argsort(-shown, kind="stable")
    assert len(set(shown)) == 256
    for number, fraction in enumerate(np.linspace(0, 1, 8)):
        picture = substitute("blurred", pixels).reshape(256, 3)
        chosen = order[: round(256 * fraction)]
        picture[chosen] = pixels.reshape(256, 3)[chosen]
        scores = convnet.tensor_scores(convnet.preprocessing.apply(picture.reshape(1, 16, 16, 3)))
        assert test.heatmap.scores[number] == pytest.approx(scores[0, 2], abs=1e-5)


# Properties of curves.


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([deletion, insertion]))
def test_areas_are_within_bounds(seed, kind):
    rng = np.random.default_rng(seed)
    convnet = linear_net(rng.normal(0, 0.05, (4, 4)), bias=rng.normal())
    test = kind(
        convnet,
        photo_of(rng.integers(0, 256, (4, 4))),
        heatmap_of(rng.normal(size=(2, 2))),
        steps=5,
        random_maps=2,
    )
    for curve in (test.heatmap, test.centre, *test.random):
        assert 0 <= curve.area <= 1
        assert curve.probabilities.min() <= curve.area <= curve.probabilities.max()
        assert curve.scores.min() <= curve.mean_score <= curve.scores.max()


@settings(max_examples=15, deadline=None)
@given(
    st.permutations(range(-8, 8)),
    st.sampled_from([np.exp, np.cbrt, lambda x: 3 * x + 9, lambda x: x / 1024]),
)
def test_only_the_order_of_a_heatmap_counts(values, transform):
    convnet = linear_net(np.random.default_rng(0).normal(0, 0.05, (4, 4)))
    photo = photo_of(np.random.default_rng(1).integers(0, 256, (4, 4)))
    values = np.reshape(values, (4, 4)).astype("float32")
    one, other = (
        deletion(convnet, photo, heatmap_of(v), steps=16, random_maps=1)
        for v in (values, transform(values))
    )
    np.testing.assert_array_equal(one.heatmap.scores, other.heatmap.scores)
    np.testing.assert_array_equal(one.centre.scores, other.centre.scores)
    np.testing.assert_array_equal(one.random[0].scores, other.random[0].scores)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.integers(-20, 20))
def test_the_scale_of_a_heatmap_does_not_count(seed, power):
    rng = np.random.default_rng(seed)
    convnet = linear_net(rng.normal(0, 0.05, (6, 5)))
    photo, values = photo_of(rng.integers(0, 256, (6, 5))), rng.normal(size=(3, 2))
    one, other = (
        deletion(convnet, photo, heatmap_of(v), steps=7, random_maps=1)
        for v in (values, values * 2.0**power)
    )
    np.testing.assert_array_equal(one.heatmap.scores, other.heatmap.scores)


def test_equal_pixels_go_in_an_order_that_the_seed_fixes():
    flat = np.zeros((8, 8), "float32")
    one, same, other = (ranks(flat, (16, 16), seed=(0, n)) for n in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()
    for order in (one, other):
        assert sorted(order.ravel()) == list(range(256))
        # Not in reading order, which would wipe the photo from above.
        assert abs(np.corrcoef(order.ravel(), np.arange(256))[0, 1]) < 0.3
    half = flat.copy()
    half[4:] = 1
    assert set(ranks(half, (8, 8), seed=(0, 1))[4:].ravel()) == set(range(32))


def test_ranks_by_hand():
    values = np.array([[1.0, 9], [5, -3]])
    assert ranks(values, (2, 2), seed=(0, 0)).tolist() == [[2, 0], [1, 3]]


# The maps that know nothing.


def test_rivals_have_the_values_of_the_heatmap():
    convnet = linear_net(np.ones((6, 6)))
    values = np.random.default_rng(0).normal(size=(3, 3)).astype("float32")
    own, *rivals = with_rivals(convnet, heatmap_of(values), random_maps=4, seed=0)
    np.testing.assert_array_equal(own, values)
    assert len(rivals) == 5
    for rival in rivals:
        np.testing.assert_array_equal(np.sort(rival, axis=None), np.sort(values, axis=None))
    assert len({rival.tobytes() for rival in rivals}) == 5
    centre = rivals[0]
    assert centre[1, 1] == values.max()
    assert set(centre[[0, 0, 2, 2], [0, 2, 0, 2]]) == set(np.sort(values, axis=None)[:4])


def test_a_blob_in_the_middle_beats_nobody_who_knows_the_middle():
    weights = np.zeros((8, 8))
    weights[3:5, 3:5] = 0.01
    convnet, photo = linear_net(weights), photo_of(np.full((8, 8), 200))
    test = deletion(convnet, photo, heatmap_of(weights))
    assert test.centre.mean_score == pytest.approx(test.heatmap.mean_score)
    assert not test.beats_centre
    assert test.beaten == 5
    assert "But a blob in the middle of the photo does as well." in verdict(test)
    aside = deletion(linear_net(np.roll(weights, 3)), photo, heatmap_of(np.roll(weights, 3)))
    assert aside.beats_centre
    assert "blob" not in verdict(aside)


def test_a_perfect_map_beats_chance_and_the_worst_is_beaten_by_it():
    weights = np.random.default_rng(0).normal(0, 0.01, (8, 8))
    convnet, photo = linear_net(weights), photo_of(np.full((8, 8), 200))
    for kind in (deletion, insertion):
        best = kind(convnet, photo, heatmap_of(weights), fill="black")
        worst = kind(convnet, photo, heatmap_of(-weights), fill="black")
        assert (best.beaten, worst.beaten) == (5, 0)
        assert best.gain > 0 > worst.gain
        mean = np.mean([curve.mean_score for curve in best.random])
        sign = 1 if kind is insertion else -1
        assert best.gain == pytest.approx(sign * (best.heatmap.mean_score - mean))


def test_a_map_that_knows_nothing_does_as_well_as_chance():
    weights = np.random.default_rng(0).normal(0, 0.01, (8, 8))
    convnet, photo = linear_net(weights), photo_of(np.full((8, 8), 200))
    constant = heatmap_of(np.ones((8, 8)))
    tests = [deletion(convnet, photo, constant, steps=8, seed=seed) for seed in range(20)]
    assert 0.25 < np.mean([test.beaten / 5 for test in tests]) < 0.75
    gains = np.array([test.gain for test in tests])
    assert abs(gains.mean()) < 3 * gains.std() / np.sqrt(len(gains))


# Options of deletion and insertion.


@pytest.mark.parametrize("kind", [deletion, insertion])
def test_each_option_counts(kind, photo):
    convnet = nets.open_net("functional")
    heatmap = vizlib.grad_cam(convnet, photo)
    plain = kind(convnet, photo, heatmap)
    assert (len(plain.heatmap.scores), len(plain.random), plain.passes) == (21, 5, 21 * 7)
    assert plain.fill == {deletion: "black", insertion: "blurred"}[kind]
    assert len(kind(convnet, photo, heatmap, steps=3).heatmap.scores) == 4
    few = kind(convnet, photo, heatmap, random_maps=2)
    assert (len(few.random), few.passes) == (2, 21 * 4)
    np.testing.assert_array_equal(few.random[1].scores, plain.random[1].scores)
    seeded = kind(convnet, photo, heatmap, seed=1)
    assert (seeded.random[0].scores != plain.random[0].scores).any()
    np.testing.assert_array_equal(seeded.heatmap.scores, plain.heatmap.scores)
    again = kind(convnet, photo, heatmap)
    for one, other in zip(again.random, plain.random, strict=True):
        assert one.scores.tobytes() == other.scores.tobytes()
    whole = {
        fill: kind(convnet, photo, heatmap, fill=fill, steps=2).heatmap.scores
        for fill in ("black", "blurred", "imputed")
    }
    assert len({scores[1] for scores in whole.values()}) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fill": "pink"}, "Expected fill to be one of black, blurred, imputed. Received: 'pink'"),
        ({"steps": 0}, "steps to be a whole number of at least 1"),
        ({"steps": 2.5}, "steps to be a whole number"),
        ({"random_maps": 0}, "random_maps to be a whole number of at least 1"),
        ({"seed": -1}, "seed to be a whole number of at least 0"),
    ],
)
def test_options_out_of_range(options, message, photo):
    convnet = nets.open_net("functional")
    heatmap = vizlib.grad_cam(convnet, photo)
    for kind in (deletion, insertion):
        with pytest.raises(InvalidArgumentError, match=message):
            kind(convnet, photo, heatmap, **options)


def test_heatmaps_that_are_none_of_this_network(photo):
    convnet = nets.open_net("functional")
    for kind in (deletion, insertion, road, confidence_change, mu_fidelity, completeness):
        with pytest.raises(InvalidArgumentError, match="class_index from 0 to 2"):
            kind(convnet, photo, heatmap_of(RED, class_index=3))
        with pytest.raises(UnsupportedModelError, match="Expected a classifier"):
            kind(nets.open_net("autoencoder"), photo, heatmap_of(RED))
        with pytest.raises(InvalidArgumentError, match="Expected an RGB image"):
            kind(convnet, photo.astype("float32"), heatmap_of(RED, layer="c1"))
    with pytest.raises(InvalidArgumentError, match=r"values \(h, w\). Received shape: \(3,\)"):
        deletion(convnet, photo, heatmap_of([1, 2, 3]))


def test_values_that_are_not_finite_count_as_zero(photo):
    convnet = nets.open_net("functional")
    test = deletion(convnet, photo, heatmap_of([[np.nan, 1], [np.inf, 2]]))
    plain = deletion(convnet, photo, heatmap_of([[0, 1], [0, 2]]))
    np.testing.assert_array_equal(test.heatmap.scores, plain.heatmap.scores)


# How the network is asked.


def weights_of(convnet: ConvNet) -> list[bytes]:
    return [v.numpy().tobytes() for v in convnet.model.variables]


LOOPS = {
    "deletion": (deletion, {"steps": 9}),
    "insertion": (insertion, {"steps": 9}),
    "road": (road, {"steps": 4}),
    "mu_fidelity": (mu_fidelity, {"subsets": 50, "grid": 4}),
}


@pytest.mark.parametrize("name", LOOPS)
def test_progress_is_told_and_raising_cancels(name, photo):
    question, options = LOOPS[name]
    convnet = nets.open_net("functional")
    heatmap = vizlib.grad_cam(convnet, photo)
    before, scores = weights_of(convnet), convnet.scores(photo)
    told = []
    question(convnet, photo, heatmap, progress=lambda *now: told.append(now), **options)
    done, totals = zip(*told, strict=True)
    passes = {"deletion": 70, "insertion": 70, "road": 2 * 5 * 5, "mu_fidelity": 51}[name]
    assert set(totals) == {passes}
    assert list(done) == sorted(set(done))
    assert done[-1] == passes
    assert len(done) > 1

    def cancel(done, _total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        question(convnet, photo, heatmap, progress=cancel, **options)
    assert weights_of(convnet) == before
    np.testing.assert_array_equal(convnet.scores(photo), scores)


def test_answers_do_not_depend_on_the_size_of_batches(photo):
    one, many = nets.open_net("functional"), nets.open_net("functional")
    vars(one)["batch_size"], vars(many)["batch_size"] = 1, 11
    heatmap = vizlib.grad_cam(many, photo)
    a, b = (deletion(c, photo, heatmap, steps=5, random_maps=2) for c in (one, many))
    np.testing.assert_allclose(a.heatmap.scores, b.heatmap.scores, atol=1e-5)
    np.testing.assert_allclose(a.random[1].scores, b.random[1].scores, atol=1e-5)


def test_arguments_stay_as_they_are(photo):
    convnet = nets.open_net("functional")
    heatmap = vizlib.grad_cam(convnet, photo)
    before = photo.tobytes(), heatmap.values.tobytes(), weights_of(convnet)
    for question in (deletion, insertion, measures, completeness):
        question(convnet, photo, heatmap)
    layer_sweep(convnet, photo)
    assert (photo.tobytes(), heatmap.values.tobytes(), weights_of(convnet)) == before


# ROAD.


def test_road_is_both_curves_with_imputed_pixels(photo):
    convnet = nets.open_net("functional")
    heatmap = vizlib.grad_cam(convnet, photo)
    both = road(convnet, photo, heatmap, steps=4, random_maps=2, seed=3)
    options = {"fill": "imputed", "steps": 4, "random_maps": 2, "seed": 3}
    most, least = (kind(convnet, photo, heatmap, **options) for kind in (deletion, insertion))
    np.testing.assert_array_equal(both.most_relevant_first.heatmap.scores, most.heatmap.scores)
    np.testing.assert_array_equal(both.least_relevant_first.heatmap.scores, least.heatmap.scores)
    assert both.gap == pytest.approx(least.heatmap.area - most.heatmap.area)
    gaps = [x.area - y.area for x, y in zip(least.random, most.random, strict=True)]
    assert both.random_gap == pytest.approx(np.mean(gaps))
    assert both.centre_gap == pytest.approx(least.centre.area - most.centre.area)
    assert road(convnet, photo, heatmap).most_relevant_first.passes == 11 * 5


def test_road_does_not_punish_what_the_neighbours_give_back():
    """The class is the brightness at one place of a ramp, which its neighbours know as well."""
    weights = np.zeros((9, 9))
    weights[4, 4] = 0.05
    convnet = linear_net(weights)
    y, x = np.mgrid[:9, :9]
    photo = photo_of(20 * x + 5 * y)
    black = deletion(convnet, photo, heatmap_of(weights), steps=81).heatmap
    assert black.scores[1] == pytest.approx(0, abs=1e-5)
    imputed = road(convnet, photo, heatmap_of(weights), steps=81).most_relevant_first.heatmap
    # What is left is the noise, three standard deviations of it at most.
    assert imputed.scores[1] == pytest.approx(0.05 * 100, abs=0.05 * 3 * 2.55)


def test_a_good_map_has_a_gap_and_its_negative_a_negative_one():
    """The class is a chequered quadrant of a chequered photo: imputed pixels are its mean grey."""
    chequered = np.indices((16, 16)).sum(axis=0) % 2 * 2 - 1
    convnet = linear_net(0.2 * quadrant(0, 0, 16) * chequered, bias=-4)
    photo = photo_of(128 + 60 * chequered)
    values = np.zeros((4, 4))
    values[:2, :2] = 1
    found = road(convnet, photo, heatmap_of(values), random_maps=8)
    flipped = road(convnet, photo, heatmap_of(-values), random_maps=8)
    assert found.most_relevant_first.beaten == found.least_relevant_first.beaten == 8
    assert flipped.most_relevant_first.beaten == flipped.least_relevant_first.beaten == 0
    assert found.gap > 0.4
    assert flipped.gap == pytest.approx(-found.gap, abs=0.1)
    assert abs(found.random_gap) < found.gap / 2


# Verdicts.


def curve(*scores) -> Curve:
    fractions = np.linspace(0, 1, len(scores))
    return Curve(fractions, np.array(scores, float), sigmoid(scores))


def falling(own, *random, centre=(12, 9, 6, 3, 0)) -> PixelTest:
    return PixelTest("deletion", "black", curve(*own), curve(*centre), tuple(random), 0)


def test_a_good_map_in_words():
    """At a tenth, two fifths of the way from 12 to 4. Random maps, on average 12, 11, 8, 4 and 0,

    are at 8.8 between 11 and 8: at 0.25 + 0.25 · 2.2 / 3.
    """
    test = falling((12, 4, 1, 0, 0), curve(12, 11, 8, 3, 0), curve(12, 11, 8, 5, 0))
    assert verdict(test, fraction=0.1) == (
        "Removing the 10% of the photo that this map marks most takes the score from 12.0 to 8.8; "
        "at random places that takes 43%."
    )
    assert "the 25% of the photo" in verdict(test, fraction=0.25)
    assert "from 12.0 to 4.0; at random places that takes 75%." in verdict(test, fraction=0.25)


def test_what_random_places_never_reach():
    test = falling((12, -3, 1, 0, 0), curve(12, 11, 8, 3, 0))
    assert "to -3.0; at random places no share of the photo does that." in verdict(
        test, fraction=0.25
    )


def test_a_map_no_better_than_chance_in_words():
    random = curve(12, 4, 1, 0, 0), curve(12, 4, 2, 0, 0)
    worse = falling((12, 11, 8, 3, 0), *random)
    assert verdict(worse, fraction=0.25) == (
        "This map is no better than chance. It beats 0 of 2 random maps. Removing the 25% of the "
        "photo that this map marks most takes the score from 12.0 to 11.0; as much at random "
        "places takes it to 4.0."
    )
    mixed = falling((12, 6, 3, 0, 0), curve(12, 4, 1, 0, 0), curve(12, 12, 12, 12, 0))
    assert verdict(mixed).startswith("This map is hardly better than chance. It beats 1 of 2")
    rising = falling((12, 13, 8, 3, 0), curve(12, 14, 8, 3, 0))
    assert "to 13.0; as much at random places takes it to 14.0." in verdict(rising, fraction=0.25)
    same = falling((12, 6, 3, 0, 0), curve(12, 6, 3, 0, 0))
    assert verdict(same).startswith("This map is no better than chance. It beats 0 of 1")


def test_insertion_in_words():
    random = (curve(0, 1, 3, 9, 12),)
    test = PixelTest(
        "insertion", "black", curve(0, 6, 11, 12, 12), curve(0, 1, 2, 3, 12), random, 0
    )
    assert verdict(test, fraction=0.25) == (
        "Showing only the 25% of the photo that this map marks most takes the score from 0.0 to "
        "6.0; at random places that takes 62%."
    )
    below = PixelTest("insertion", "black", curve(0, 0.5, 1, 2, 12), random[0], random, 0)
    assert "as much at random places takes it to 1.0" in verdict(below, fraction=0.25)


@pytest.mark.parametrize("fraction", [0, -1, 1.1, float("nan")])
def test_fractions_out_of_range(fraction):
    with pytest.raises(InvalidArgumentError, match="fraction above 0 and up to 1"):
        verdict(falling((1, 0, 0, 0, 0), curve(1, 1, 0, 0, 0)), fraction=fraction)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-9, 9), min_size=5, max_size=5), st.floats(0.01, 1))
def test_there_is_a_verdict_on_every_test(scores, fraction):
    test = falling(scores, curve(3, 2, 1, 0, 0), curve(0, 0, 0, 0, 0))
    for kind in ("deletion", "insertion"):
        sentence = verdict(dataclasses.replace(test, kind=kind), fraction=fraction)
        assert sentence.endswith(".")
        assert "nan" not in sentence


# Confidence.


def test_average_drop_by_hand():
    """Scores 0.01 · sum(red): 6 as it is, 2 where only the brightest place is let through."""
    convnet = linear_net(np.full((2, 2), 0.01))
    photo = photo_of([[200, 150], [150, 100]])
    change = confidence_change(convnet, photo, heatmap_of([[5, 0], [-3, 0]]))
    assert change.before == pytest.approx(sigmoid(6), abs=1e-6)
    assert change.after == pytest.approx(sigmoid(2), abs=1e-6)
    assert change.drop == pytest.approx(100 * (sigmoid(6) - sigmoid(2)) / sigmoid(6), abs=1e-3)
    assert not change.increased
    assert change.passes == 8
    dimmed = confidence_change(convnet, photo, heatmap_of([[4, 2], [0, 1]]))
    assert dimmed.after == pytest.approx(sigmoid(2 + 1.5 / 2 + 1 / 4), abs=1e-6)


def test_a_network_that_is_surer_of_a_part():
    convnet = linear_net([[0.01, -0.01], [-0.01, -0.01]])
    photo = photo_of(np.full((2, 2), 100))
    change = confidence_change(convnet, photo, heatmap_of([[1, 0], [0, 0]]))
    assert change.before == pytest.approx(sigmoid(-2), abs=1e-6)
    assert change.after == pytest.approx(sigmoid(1), abs=1e-6)
    assert change.increased
    assert change.drop == 0
    # Its value at any other place leaves the class at -1.
    assert set(np.round(change.random, 5)) <= set(np.round(sigmoid([-1, 1]), 5))


def test_an_empty_heatmap_lets_nothing_through():
    convnet = linear_net(np.full((2, 2), 0.01))
    change = confidence_change(convnet, photo_of([[200] * 2] * 2), heatmap_of([[0, -1], [0, 0]]))
    assert change.after == pytest.approx(0.5)


def test_each_option_of_confidence_counts(photo):
    convnet = nets.open_net("functional")
    heatmap = vizlib.grad_cam(convnet, photo)
    plain = confidence_change(convnet, photo, heatmap)
    assert confidence_change(convnet, photo, heatmap, fill="blurred").after != plain.after
    assert len(confidence_change(convnet, photo, heatmap, random_maps=2).random) == 2
    assert confidence_change(convnet, photo, heatmap, seed=4).random != plain.random
    assert confidence_change(convnet, photo, heatmap) == plain
    with pytest.raises(InvalidArgumentError, match=r"one of black, blurred\. Received: 'imputed'"):
        confidence_change(convnet, photo, heatmap, fill="imputed")


def test_averages_over_photos_by_hand():
    changes = [
        ConfidenceChange(0.8, 0.6, 0.4, (0.2, 0.4), 5),  # 25%, centre 50%, random 75% and 50%
        ConfidenceChange(0.5, 0.9, 0.5, (0.0, 0.7), 5),  # surer; centre 0%, random 100% and 0%
        ConfidenceChange(0.0, 0.0, 0.0, (0.0, 0.0), 5),
    ]
    found = average_drop(iter(changes))
    assert found.drop == pytest.approx(25 / 3)
    assert found.increase == pytest.approx(100 / 3)
    assert found.centre_drop == pytest.approx(50 / 3)
    assert found.random_drop == pytest.approx((62.5 + 50 + 0) / 3)
    assert found.centre_increase == 0
    assert found.random_increase == pytest.approx(100 / 6)
    assert found.count == 3
    with pytest.raises(InvalidArgumentError, match="at least one"):
        average_drop([])


# All measures.


def test_the_measures_are_those_of_each_by_itself(photo):
    convnet = nets.open_net("functional")
    heatmap = vizlib.grad_cam(convnet, photo)
    told = []
    mu, both, lost, surer = measures(
        convnet, photo, heatmap, seed=2, progress=lambda *step: told.append(step)
    )
    one = mu_fidelity(convnet, photo, heatmap, seed=2)
    assert (mu.heatmap, mu.centre) == (one.correlation, one.centre)
    assert mu.random == pytest.approx(np.mean(one.random))
    two = road(convnet, photo, heatmap, seed=2)
    assert (both.heatmap, both.random, both.centre) == (two.gap, two.random_gap, two.centre_gap)
    change = average_drop([confidence_change(convnet, photo, heatmap, seed=2)])
    assert (lost.heatmap, lost.random, lost.centre) == (
        *(change.drop, change.random_drop, change.centre_drop),
    )
    assert (surer.heatmap, surer.random, surer.centre) == (
        *(change.increase, change.random_increase, change.centre_increase),
    )
    assert [m.higher_is_better for m in (mu, both, lost, surer)] == [True, True, False, True]
    assert measures(convnet, photo, heatmap)[0] != mu  # another seed
    shares = [done / total for done, total in told]
    assert shares == sorted(shares)
    assert shares[-1] == 1


@pytest.mark.parametrize(
    ("name", "numbers", "beats"),
    [
        ("ROAD", (2, 1, 0), True),
        ("ROAD", (2, 1, 2), False),
        ("ROAD", (2, 3, 0), False),
        ("Average drop", (0, 1, 2), True),
        ("Average drop", (1, 0, 2), False),
        ("Average drop", (1, 2, 0), False),
    ],
)
def test_a_measure_beats_both_baselines_or_not(name, numbers, beats):
    assert Measure(name, *numbers).beats_both is beats


def test_an_answer_that_follows_the_map_beats_both_baselines():
    """The class is the brightness of a corner, and the map says so."""
    weights = quadrant(0, 0, 16)
    values = np.zeros((4, 4))
    values[:2, :2] = 1
    convnet = linear_net(0.01 * weights, bias=-8)
    found = measures(convnet, photo_of(np.full((16, 16), 200)), heatmap_of(values))
    mu, _, lost, _ = found
    assert mu.heatmap == pytest.approx(1, abs=0.1)
    assert mu.beats_both
    assert lost.heatmap < 20
    assert lost.beats_both


# mu-fidelity.


@pytest.mark.parametrize("grid", [2, 3, 8, 9])
def test_what_a_linear_network_uses_correlates_fully(grid):
    weights = np.random.default_rng(0).normal(0, 0.01, (8, 8))
    photo = photo_of(np.random.default_rng(1).integers(0, 256, (8, 8)))
    used = weights * photo[..., 0]
    for sign in (1, -1):
        found = mu_fidelity(linear_net(weights), photo, heatmap_of(sign * used), grid=grid)
        assert found.correlation == pytest.approx(sign, abs=1e-5)
        assert found.passes == 101
    total = mu_fidelity(linear_net(np.ones((8, 8))), photo, heatmap_of(photo[..., 0]), grid=grid)
    assert total.correlation == pytest.approx(1, abs=1e-5)
    assert len(total.random) == 20
    assert total.beaten == sum(other < total.correlation for other in total.random)


def test_mu_fidelity_by_hand():
    """Each of four places alone, as often as chance has it: their drops are 4, 3, 1 and 2."""
    convnet, photo = linear_net(np.ones((2, 2))), photo_of(RED)
    values = [[1.0, 0], [0, 0]]
    found = mu_fidelity(convnet, photo, heatmap_of(values), grid=2, share=0.25, subsets=2000)
    drops = np.array([4, 3, 1, 2])
    assert found.correlation == pytest.approx(np.corrcoef(drops, [1, 0, 0, 0])[0, 1], abs=0.06)
    three = mu_fidelity(convnet, photo, heatmap_of(values), grid=2, share=0.75, subsets=2000)
    assert three.correlation == pytest.approx(found.correlation, abs=0.06)


def test_random_maps_correlate_with_nothing():
    weights = np.random.default_rng(0).normal(0, 0.01, (9, 9))
    photo = photo_of(np.random.default_rng(1).integers(0, 256, (9, 9)))
    found = mu_fidelity(linear_net(weights), photo, heatmap_of(weights * photo[..., 0]))
    assert np.abs(found.random).max() < 0.6
    assert abs(np.mean(found.random)) < 0.15
    assert found.beaten == 20


def test_maps_that_do_not_vary_correlate_with_nothing():
    convnet, photo = linear_net(np.ones((4, 4))), photo_of(np.arange(16).reshape(4, 4))
    assert mu_fidelity(convnet, photo, heatmap_of(np.full((4, 4), 0.1)), grid=4).correlation == 0
    deaf = linear_net(np.zeros((4, 4)))
    assert mu_fidelity(deaf, photo, heatmap_of(photo[..., 0]), grid=4).correlation == 0


def test_each_option_of_mu_fidelity_counts(photo):
    convnet = nets.open_net("flatten_net")
    heatmap = vizlib.hires_cam(convnet, photo)
    plain = mu_fidelity(convnet, photo, heatmap)
    assert mu_fidelity(convnet, photo, heatmap) == plain
    for options in (
        {"subsets": 60},
        {"grid": 4},
        {"share": 0.5},
        {"fill": "blurred"},
        {"seed": 1},
    ):
        assert mu_fidelity(convnet, photo, heatmap, **options).correlation != plain.correlation
    assert mu_fidelity(convnet, photo, heatmap, subsets=60).passes == 61
    for options, message in (
        ({"subsets": 1}, "subsets"),
        ({"grid": 1}, "grid"),
        ({"share": 0}, "share above 0"),
        ({"share": 1.0}, "below 1"),
        ({"fill": "x"}, "fill"),
        ({"seed": -1}, "seed"),
    ):
        with pytest.raises(InvalidArgumentError, match=message):
            mu_fidelity(convnet, photo, heatmap, **options)


# Completeness.


@pytest.mark.parametrize("kind", ["functional", "flatten_net", "nested", "linear_head"])
def test_hires_cam_accounts_for_the_score_behind_a_linear_head(kind, photo):
    convnet = nets.open_net(kind)
    bias = nets.inner(convnet.model, "out").get_weights()[1]
    for index in range(3):
        found = completeness(convnet, photo, vizlib.hires_cam(convnet, photo, class_index=index))
        assert found.gap == pytest.approx(0, abs=1e-5)
        assert found.expected == pytest.approx(convnet.scores(photo)[index] - bias[index], abs=1e-5)


def test_grad_cam_does_not_account_for_the_score_behind_flatten(photo):
    convnet = nets.open_net("flatten_net")
    gaps = [
        completeness(convnet, photo, vizlib.grad_cam(convnet, photo, class_index=i)).gap
        for i in range(3)
    ]
    assert np.abs(gaps).max() > 0.05


@pytest.mark.parametrize("reference", ["black", "blurred"])
def test_integrated_gradients_account_for_the_way_from_their_start(reference, photo):
    convnet = nets.open_net("flatten_net")
    heatmap = vizlib.integrated_gradients(
        convnet, photo, class_index=1, steps=200, baseline=reference
    )
    found = completeness(convnet, photo, heatmap, reference=reference)
    assert found.gap == pytest.approx(0, abs=2e-3)
    assert abs(found.expected) > 0.02
    assert found.total == pytest.approx(heatmap.values.sum(), abs=1e-5)
    if reference == "black":
        assert completeness(convnet, photo, heatmap) == found
        start = convnet.scores(np.zeros_like(photo))[1]
        assert found.expected == pytest.approx(convnet.scores(photo)[1] - start, abs=1e-5)


def test_completeness_by_hand():
    convnet = linear_net([[1, 2], [3, 4]], bias=7)
    photo = photo_of([[1, 1], [1, 1]])
    found = completeness(convnet, photo, heatmap_of([[1, 2], [3, 5]]))
    assert (found.total, found.expected, found.gap) == (11, 10, 1)
    black = completeness(convnet, photo, heatmap_of([[1, 2], [3, 3]]), reference="black")
    assert (black.total, black.expected, black.gap) == (9, 10, -1)


def test_references_that_do_not_exist(photo):
    convnet = nets.open_net("functional")
    with pytest.raises(
        InvalidArgumentError, match=r"one of maps, black, blurred\. Received: 'pink'"
    ):
        completeness(convnet, photo, vizlib.grad_cam(convnet, photo), reference="pink")
    with pytest.raises(vizlib.UnknownLayerError):
        completeness(convnet, photo, vizlib.saliency(convnet, photo), reference="maps")


# Layers.


def by_layer(weights):
    """A method whose map of ``good`` is right, and wrong everywhere else."""

    def method(convnet, image, *, class_index=None, layer=None):
        values = weights if layer == "good" else -weights
        return Heatmap(values.astype("float32"), "Made up", layer, class_index, 0.0, None)

    return method


def three_layers(weights) -> ConvNet:
    image = keras.Input((8, 8, 3))
    x = image
    for name in ("early", "good", "late"):
        x = layers.Conv2D(3, 1, use_bias=False, activation="relu", name=name)(x)
    model = keras.Model(image, layers.Dense(2, name="out")(layers.Flatten()(x)))
    for name in ("early", "good", "late"):
        model.get_layer(name).set_weights([np.eye(3)[None, None]])
    kernel = np.zeros((8, 8, 3, 2))
    kernel[..., 0, 0] = weights
    model.get_layer("out").set_weights([kernel.reshape(-1, 2), np.zeros(2)])
    return ConvNet(model)


def test_the_best_layer_is_recommended():
    rng = np.random.default_rng(0)
    weights = rng.normal(0, 0.05, (8, 8))
    photo = photo_of(rng.integers(0, 256, (8, 8)))
    used = weights * (photo[..., 0] - substitute("blurred", photo)[..., 0])
    convnet = three_layers(weights)
    sweep = layer_sweep(convnet, photo, by_layer(used), class_index=0)
    assert [entry.heatmap.layer for entry in sweep.layers] == ["early", "good", "late"]
    assert sweep.best.heatmap.layer == "good"
    early, good, late = (entry.score for entry in sweep.layers)
    assert good > 0 > early
    assert early == late
    assert good == pytest.approx(-early, abs=0.5)
    tie = layer_sweep(convnet, photo, by_layer(used), class_index=0, layers=["early", "late"])
    assert tie.best.heatmap.layer == "late"


def test_a_sweep_is_deletion_and_insertion_of_each_layer(photo):
    convnet = nets.open_net("functional")
    sweep = layer_sweep(convnet, photo, vizlib.hires_cam, class_index=1, steps=6, seed=2)
    assert [entry.heatmap.layer for entry in sweep.layers] == ["c1", "pool", "c2"]
    assert sweep.passes == 3 * 2 * 7
    for entry in sweep.layers:
        heatmap = vizlib.hires_cam(convnet, photo, class_index=1, layer=entry.heatmap.layer)
        np.testing.assert_array_equal(entry.heatmap.values, heatmap.values)
        options = {"fill": "blurred", "steps": 6, "random_maps": 1, "seed": 2}
        out = deletion(convnet, photo, heatmap, **options).heatmap
        back = insertion(convnet, photo, heatmap, **options).heatmap
        assert entry.deletion == pytest.approx(out.mean_score, abs=1e-6)
        assert entry.insertion == pytest.approx(back.mean_score, abs=1e-6)
        assert entry.score == entry.insertion - entry.deletion


def test_each_option_of_a_sweep_counts(photo):
    convnet = nets.open_net("functional")
    told = []
    plain = layer_sweep(convnet, photo, progress=lambda *now: told.append(now))
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert plain.passes == 3 * 2 * 11
    best = int(convnet.scores(photo).argmax())
    assert {(e.heatmap.class_index, e.heatmap.method) for e in plain.layers} == {(best, "Grad-CAM")}
    other = (best + 1) % 3
    assert layer_sweep(convnet, photo, class_index=other).layers[0].heatmap.class_index == other
    assert [e.heatmap.layer for e in layer_sweep(convnet, photo, layers=["c2"]).layers] == ["c2"]
    assert layer_sweep(convnet, photo, steps=4).layers[0].score != plain.layers[0].score
    for options in ({"steps": 0}, {"seed": -1}, {"class_index": 9}):
        with pytest.raises(InvalidArgumentError):
            layer_sweep(convnet, photo, **options)
    with pytest.raises(vizlib.UnknownLayerError):
        layer_sweep(convnet, photo, layers=["nowhere"])


def test_the_seed_of_a_sweep_orders_equal_pixels(photo):
    def flat(convnet, image, *, class_index=None, layer=None):
        return heatmap_of(np.zeros((8, 8)), class_index, layer)

    convnet = nets.open_net("functional")
    scores = [layer_sweep(convnet, photo, flat, seed=seed).layers[0].score for seed in (0, 0, 1)]
    assert scores[0] == scores[1] != scores[2]


def test_layers_that_cannot_tell_anything_are_left_out(photo):
    nets.seeded()
    image = nets.image_input()
    maps = nets.body(image)
    side = nets.conv(3, "mask", activation="sigmoid")(maps)
    x = layers.GlobalAveragePooling2D(keepdims=True, name="gap")(maps)
    scores = layers.Dense(3, "softmax", name="out")(layers.Flatten()(x))
    convnet = ConvNet(keras.Model(image, [side, scores]), preprocess="unit")
    sweep = layer_sweep(convnet, photo)
    assert [entry.heatmap.layer for entry in sweep.layers] == ["c1", "pool", "c2"]
    with pytest.raises(InvalidArgumentError, match="Expected a layer that the class scores rest"):
        layer_sweep(convnet, photo, layers=["c1", "mask"])


def test_a_method_that_looks_at_pixels_cannot_be_swept(photo):
    with pytest.raises(InvalidArgumentError, match=r"looks at layers.*Gradient, whose map of 'c1'"):
        layer_sweep(nets.open_net("functional"), photo, vizlib.saliency)


def test_no_layer_left_is_an_error(photo):
    nets.seeded()
    image = nets.image_input()
    x = nets.conv(3, "c1", strides=16)(image)
    convnet = ConvNet(keras.Model(image, nets.head(x)), preprocess="unit")
    with pytest.raises(InvalidArgumentError, match="at least one layer with maps larger than 1x1"):
        layer_sweep(convnet, photo)


def test_of_many_layers_some_are_taken(photo, monkeypatch):
    monkeypatch.setattr("vizlib.layer_sweep._MOST_LAYERS", 5)
    nets.seeded()
    image = x = nets.image_input()
    for number in range(9):
        x = layers.Conv2D(2, 1, name=f"c{number}")(x)
        x = layers.ReLU(name=f"r{number}")(x)
    convnet = ConvNet(keras.Model(image, nets.head(x)), preprocess="unit")
    sweep = layer_sweep(convnet, photo, steps=1)
    assert [e.heatmap.layer for e in sweep.layers] == ["r0", "r2", "r4", "r6", "r8"]
    few = ConvNet(keras.Model(image, nets.head(convnet.model.get_layer("c2").output)))
    names = [e.heatmap.layer for e in layer_sweep(few, photo, steps=1).layers]
    assert names == ["c0", "r0", "c1", "r1", "c2"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["squeezenet", "mobilenet-bundled"])
def test_grad_cam_of_real_networks_beats_chance(name):
    convnet = vizlib.load_convnet(name)
    photo = vizlib.load_image("sample_images/cat-and-dog.jpg")
    heatmap = vizlib.grad_cam(convnet, photo)
    for fill in ("black", "blurred"):
        test = insertion(convnet, photo, heatmap, fill=fill)
        assert test.beaten == 5
        assert test.beats_centre
        assert verdict(test).startswith("Showing only the 10%")
        out = deletion(convnet, photo, heatmap, fill=fill)
        assert out.gain > 0
        assert out.beats_centre
    both = road(convnet, photo, heatmap)
    assert both.gap > 0.2 > abs(both.random_gap)
    found = mu_fidelity(convnet, photo, heatmap)
    assert found.correlation > 0.4
    assert found.beaten == 20
    assert abs(completeness(convnet, photo, heatmap).gap) < 1e-2
