"""A network that forgets: what it then says, and that nobody else notices."""

import functools
import threading

import keras
import nets
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

import vizlib
from vizlib import ConvNet, Heatmap, InvalidArgumentError, sanity
from vizlib.faithfulness import randomization_check
from vizlib.similarity import correlation, rank_correlation, structural_similarity

CLASSIFIERS = sorted(set(nets.KINDS) - nets.NOT_CLASSIFIERS)


def weights_of(convnet: ConvNet) -> list[bytes]:
    return [v.numpy().tobytes() for v in convnet.model.variables]


def backwards(variable, _rng):
    """Stands in for the shuffling, so that a test can do the same to another network."""
    values = variable.numpy()
    return values.reshape(-1)[::-1].reshape(values.shape)


def wide_net(channels: int = 96) -> ConvNet:
    """Maps that have nothing in common, and a linear head on their means."""
    nets.seeded(5)
    image = nets.image_input()
    maps = layers.Conv2D(channels, 5, padding="same", name="maps")(image)
    return ConvNet(keras.Model(image, nets.head(maps, 3)), preprocess="tf")


# What the network says with other weights.


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_the_last_heatmap_is_that_of_a_network_with_those_weights(kind, photo, monkeypatch):
    monkeypatch.setattr(sanity, "_shuffled", backwards)
    convnet = nets.open_net(kind)
    before = weights_of(convnet)
    heatmap = vizlib.grad_cam(convnet, photo)
    found = randomization_check(convnet, photo, heatmap).heatmaps[-1]
    assert weights_of(convnet) == before

    changed = nets.open_net(kind)
    for variable in changed.model.variables:
        if "float" in variable.dtype:
            variable.assign(backwards(variable, None))
    asked = {"class_index": heatmap.class_index, "layer": heatmap.layer}
    expected = vizlib.grad_cam(changed, photo, **asked)
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-3, atol=1e-6)
    assert found.score == pytest.approx(expected.score, abs=1e-4)
    assert np.abs(found.values - heatmap.values).max() > 1e-4


@pytest.mark.parametrize("method", ["Integrated Gradients", "Ablation-CAM", "Occlusion"])
def test_methods_that_compile_steps_see_the_other_weights(method, photo, monkeypatch):
    monkeypatch.setattr(sanity, "_shuffled", backwards)
    make = functools.partial(vizlib.HEATMAP_METHODS[method], class_index=1)
    convnet, changed = nets.open_net("flatten_net"), nets.open_net("flatten_net")
    heatmap = make(convnet, photo)
    changed.model.set_weights([backwards(w, None) for w in convnet.model.weights])
    found = randomization_check(convnet, photo, heatmap).heatmaps[-1]
    np.testing.assert_allclose(found.values, make(changed, photo).values, rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal(make(convnet, photo).values, heatmap.values)


def test_the_network_forgets_from_the_head_down(photo):
    convnet = nets.open_net("batch_normalized")
    heatmap = vizlib.grad_cam(convnet, photo, class_index=0)
    check = randomization_check(convnet, photo, heatmap)
    assert check.layers == ("out", "c2", "bn", "c1")
    assert [h.layer for h in check.heatmaps] == ["c2"] * 4
    assert [h.class_index for h in check.heatmaps] == [0] * 4
    # The head reads the same maps all the while, so that only from c2 on their sum is another.
    head = nets.inner(convnet.model, "out")
    maps = vizlib.activations(convnet, photo, ["c2"])["c2"]
    kernel = sanity._shuffled(head.kernel, np.random.default_rng(0))
    expected = maps @ kernel[:, 0] / maps[..., 0].size
    np.testing.assert_allclose(check.heatmaps[0].values, expected, rtol=1e-4, atol=1e-7)
    for one, other in zip(check.heatmaps, check.heatmaps[1:], strict=False):
        assert np.abs(one.values - other.values).max() > 1e-5


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_every_number_is_shuffled_exactly_once(kind, photo):
    convnet = nets.open_net(kind)
    groups = sanity._groups(convnet, photo, 100)
    shuffled = [id(v) for _, variables in groups for v in variables]
    learned = {id(v) for v in convnet.model.variables if "float" in v.dtype}
    if kind == "two_outputs":
        box = nets.inner(convnet.model, "box")
        learned -= {id(v) for v in box.variables}
    assert sorted(shuffled) == sorted(learned)
    assert groups[0][0].endswith("out")


def test_weights_of_the_model_itself_are_the_last_to_go(photo):
    class Own(nets.Subclassed):
        def build(self, shape):
            self.tint = self.add_weight(shape=(3,), initializer="random_normal", name="tint")
            super().build(shape)

        def call(self, x):
            return super().call(x * self.tint)

    nets.seeded()
    model = Own(name="own")
    model(np.zeros((1, 16, 16, 3), "float32"))
    convnet = ConvNet(model)
    check = randomization_check(convnet, photo, vizlib.grad_cam(convnet, photo))
    assert check.layers == ("out", "c2", "c1", "own")


def test_the_head_is_the_one_that_gives_the_class(photo):
    """Not the mask, though it runs last."""
    nets.seeded()
    image = nets.image_input()
    maps = nets.body(image)
    scores = nets.head(maps)
    mask = nets.conv(3, "mask", activation="sigmoid")(nets.conv(3, "before_mask")(maps))
    convnet = ConvNet(keras.Model(image, [mask, scores]), preprocess="unit")
    assert convnet.all_layers[-1].name == "mask"
    check = randomization_check(convnet, photo, vizlib.grad_cam(convnet, photo))
    assert check.layers[0] == "out"


def test_shuffling_keeps_the_numbers():
    variable = keras.Variable(np.random.default_rng(0).normal(3, 2, (3, 3, 4, 5)))
    shuffled = sanity._shuffled(variable, np.random.default_rng(1))
    before = variable.numpy()
    assert shuffled.shape == before.shape
    np.testing.assert_array_equal(np.sort(shuffled, axis=None), np.sort(before, axis=None))
    assert abs(correlation(shuffled, before)) < 0.3


# What the check finds.


def test_a_random_head_decorrelates_the_map(photo):
    convnet = wide_net()
    kernel = nets.inner(convnet.model, "out").kernel
    assert kernel.shape == (96, 3)
    heatmap = vizlib.grad_cam(convnet, photo, class_index=0)
    checks = [randomization_check(convnet, photo, heatmap, seed=seed) for seed in range(5)]
    assert np.abs([check.rank_correlation[0] for check in checks]).mean() < 0.35
    assert np.abs([check.ssim[0] for check in checks]).mean() < 0.4
    assert all(check.depends_on_head and check.depends_on_network for check in checks)
    assert all(check.diagnosis is None for check in checks)


def edges(convnet, image, *, class_index=None, layer=None):
    """Looks like a heatmap and knows nothing of the network."""
    grey = convnet.input_image(image).mean(axis=2)
    values = np.hypot(*np.gradient(grey)).astype("float32")
    return Heatmap(values, "Edges", "input", class_index, 0.0, None)


def test_a_map_that_ignores_the_network_is_found_out(photo):
    convnet = wide_net()
    heatmap = edges(convnet, photo, class_index=1)
    check = randomization_check(convnet, photo, heatmap, method=edges)
    np.testing.assert_allclose(check.rank_correlation, 1)
    np.testing.assert_allclose(check.ssim, 1)
    assert not check.depends_on_network
    assert not check.depends_on_head
    assert "the photo, not the network" in check.diagnosis
    assert "1.00" in check.diagnosis


def test_a_map_that_ignores_the_class_is_found_out(photo):
    def energy(convnet, image, *, class_index=None, layer=None):
        maps = convnet.maps(image, [layer])[layer]
        return Heatmap((maps**2).sum(axis=2), "Energy", layer, class_index, 0.0, None)

    nets.seeded(3)
    image = nets.image_input()
    maps = layers.Conv2D(8, 5, activation="tanh", padding="same", name="c1")(image)
    maps = layers.Conv2D(8, 5, activation="tanh", padding="same", name="c2")(maps)
    convnet = ConvNet(keras.Model(image, nets.head(maps)), preprocess="tf")
    heatmap = energy(convnet, photo, class_index=1, layer="c2")
    check = randomization_check(convnet, photo, heatmap, method=energy)
    assert check.rank_correlation[0] == pytest.approx(1)
    assert not check.depends_on_head
    assert check.depends_on_network
    assert check.diagnosis.startswith("The map stays what it is when 'out'")


# Nobody else notices.


@pytest.mark.parametrize("kind", ["functional", "subclassed_raw_softmax", "nested"])
def test_other_threads_get_the_networks_own_answers_all_the_while(kind, photo):
    convnet = nets.open_net(kind)
    heatmap = vizlib.grad_cam(convnet, photo)
    expected = convnet.predict(photo), heatmap.values
    answers, stop = [], threading.Event()

    def ask():
        while not stop.is_set():
            answers.append((convnet.predict(photo), vizlib.grad_cam(convnet, photo).values))

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        while not answers:
            pass
        for seed in range(3):
            randomization_check(convnet, photo, heatmap, seed=seed)
        seen_during = len(answers)
    finally:
        stop.set()
        asking.join()
    assert seen_during > 1
    for answer in answers:
        np.testing.assert_array_equal(answer[0], expected[0])
        np.testing.assert_array_equal(answer[1], expected[1])


@pytest.mark.parametrize(
    ("kind", "method"),
    [
        ("subclassed_raw_softmax", "Grad-CAM"),
        ("functional", "Occlusion"),
        ("functional", "Ablation-CAM"),
        ("functional", "Guided backpropagation"),
    ],
)
def test_what_is_compiled_inside_is_not_kept(kind, method, photo):
    """The network is asked with other weights first: kept steps would have them for good."""
    fresh, convnet = nets.open_net(kind), nets.open_net(kind)
    make = vizlib.HEATMAP_METHODS[method]
    heatmap = make(fresh, photo)
    randomization_check(convnet, photo, heatmap)
    np.testing.assert_array_equal(make(convnet, photo).values, heatmap.values)
    np.testing.assert_array_equal(convnet.scores(photo), fresh.scores(photo))


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_error_or_a_cancel_leaves_nothing_behind(error, photo):
    convnet = nets.open_net("functional")
    heatmap = vizlib.grad_cam(convnet, photo)
    before, scores = weights_of(convnet), convnet.scores(photo)

    def failing(changed, image, *, class_index=None, layer=None):
        if np.array_equal(changed.scores(image), scores):
            return heatmap
        raise error("half way")

    def cancel(_done, _total):
        np.testing.assert_array_equal(convnet.scores(photo), scores)
        raise error("half way")

    for options in ({"method": failing}, {"progress": cancel}):
        with pytest.raises(error, match="half way"):
            randomization_check(convnet, photo, heatmap, **options)
        assert weights_of(convnet) == before
        np.testing.assert_array_equal(convnet.scores(photo), scores)
    variable = nets.inner(convnet.model, "out").bias
    variable.assign(variable + 1.0)
    np.testing.assert_allclose(convnet.scores(photo), scores + 1, atol=1e-6)


# Options.


def test_the_method_of_that_name_by_default_or_the_one_given(photo):
    convnet = nets.open_net("flatten_net")
    heatmap = vizlib.hires_cam(convnet, photo, class_index=1)
    by_name = randomization_check(convnet, photo, heatmap)
    given = randomization_check(convnet, photo, heatmap, method=vizlib.hires_cam)
    other = randomization_check(convnet, photo, heatmap, method=vizlib.grad_cam)
    assert {h.method for h in by_name.heatmaps} == {"HiResCAM"}
    np.testing.assert_array_equal(by_name.rank_correlation, given.rank_correlation)
    assert (by_name.rank_correlation != other.rank_correlation).any()
    with pytest.raises(InvalidArgumentError, match=r"Grad-CAM.*'Edges': give the function"):
        randomization_check(convnet, photo, edges(convnet, photo, class_index=0))


def test_a_map_is_compared_with_one_of_the_same_options(photo):
    """However the one given was made: only its method, class and layer are asked of it."""
    convnet = nets.open_net("functional")
    rough = functools.partial(vizlib.smooth_grad, samples=2)
    one, other = (vizlib.smooth_grad(convnet, photo, samples=n) for n in (2, 5))
    found = [randomization_check(convnet, photo, h, method=rough) for h in (one, other)]
    np.testing.assert_array_equal(found[0].rank_correlation, found[1].rank_correlation)
    np.testing.assert_array_equal(found[0].ssim, found[1].ssim)


def test_stages_group_the_layers(photo):
    convnet = nets.open_net("batch_normalized")
    heatmap = vizlib.grad_cam(convnet, photo)
    found = {n: randomization_check(convnet, photo, heatmap, stages=n).layers for n in (2, 3, 9)}
    assert found[2] == ("out", "c1")
    assert found[3] == ("out", "c2", "c1")
    assert found[9] == ("out", "c2", "bn", "c1")
    with pytest.raises(InvalidArgumentError, match="stages to be a whole number of at least 2"):
        randomization_check(convnet, photo, heatmap, stages=1)


def test_one_layer_with_weights_makes_one_stage(photo):
    nets.seeded()
    image = nets.image_input()
    maps = layers.AveragePooling2D(2, name="pool")(image)
    convnet = ConvNet(keras.Model(image, nets.head(maps)), preprocess="unit")
    check = randomization_check(convnet, photo, vizlib.grad_cam(convnet, photo))
    assert check.layers == ("out",)


def test_nothing_to_shuffle_is_an_error(photo):
    image = nets.image_input()
    scores = layers.GlobalAveragePooling2D()(layers.AveragePooling2D(2, name="pool")(image))
    convnet = ConvNet(keras.Model(image, scores), labels=["r", "g", "b"])
    with pytest.raises(InvalidArgumentError, match="Expected a network with weights to exchange"):
        randomization_check(convnet, photo, vizlib.grad_cam(convnet, photo))


def test_seeds(photo):
    convnet = nets.open_net("functional")
    heatmap = vizlib.grad_cam(convnet, photo)
    one, same, other = (randomization_check(convnet, photo, heatmap, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(one.rank_correlation, same.rank_correlation)
    for a, b in zip(one.heatmaps, same.heatmaps, strict=True):
        np.testing.assert_array_equal(a.values, b.values)
    assert (one.rank_correlation != other.rank_correlation).all()
    with pytest.raises(InvalidArgumentError, match="seed"):
        randomization_check(convnet, photo, heatmap, seed=-1)


def test_progress(photo):
    convnet = nets.open_net("functional")
    told = []
    heatmap = vizlib.grad_cam(convnet, photo)
    randomization_check(convnet, photo, heatmap, progress=lambda *now: told.append(now))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_a_class_of_another_network_is_refused(photo):
    convnet = nets.open_net("functional")
    with pytest.raises(InvalidArgumentError, match="class_index from 0 to 2"):
        randomization_check(convnet, photo, edges(convnet, photo, class_index=7), method=edges)


# How alike two maps are.


def test_correlations_by_hand():
    assert correlation([1, 2, 3], [2, 4, 6]) == pytest.approx(1)
    assert correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert correlation([1, 2, 3, 4], [1, 0, 0, 1]) == pytest.approx(0)
    assert correlation([1, 2, 3], [5, 5, 5]) == 0
    assert correlation([0, 0], [0, 0]) == 0
    # Ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4: 4.5 / sqrt(4.5 * 5).
    assert rank_correlation([1, 7, 7, 50], [1, 2, 3, 4]) == pytest.approx(4.5 / np.sqrt(22.5))
    assert rank_correlation([1, 2, 3, 4], [1, 10, 100, 1e6]) == pytest.approx(1)


@settings(deadline=None)
@given(
    st.lists(st.integers(-9, 9), min_size=3, max_size=30),
    st.integers(0, 2**32),
)
def test_correlations_equal_those_of_numpy(values, seed):
    one = np.array(values, "float64")
    other = np.random.default_rng(seed).normal(size=len(one))
    if np.ptp(one) > 0:
        assert correlation(one, other) == pytest.approx(np.corrcoef(one, other)[0, 1], abs=1e-9)
        ranks = [[(x > v).mean() + (x >= v).mean() for v in x] for x in (one, other)]
        ranks = [[-v for v in r] for r in ranks]
        expected = np.corrcoef(*ranks)[0, 1]
        assert rank_correlation(one, other) == pytest.approx(expected, abs=1e-9)


def plain_ssim(one, other):
    """Window by window, as the paper writes it."""
    one, other = (0.5 + x / np.abs(x).max() / 2 for x in (one, other))
    a, b = (np.pad(x, 5, mode="symmetric") for x in (one, other))
    offset = np.arange(-5, 6)
    window = np.exp(-(offset[:, None] ** 2 + offset**2) / (2 * 1.5**2))
    window /= window.sum()
    found = []
    for y, x in np.ndindex(one.shape):
        p, q = a[y : y + 11, x : x + 11], b[y : y + 11, x : x + 11]
        mp, mq = (window * p).sum(), (window * q).sum()
        vp, vq = (window * (p - mp) ** 2).sum(), (window * (q - mq) ** 2).sum()
        cov = (window * (p - mp) * (q - mq)).sum()
        c1, c2 = 0.01**2, 0.03**2
        found.append((2 * mp * mq + c1) * (2 * cov + c2) / ((mp**2 + mq**2 + c1) * (vp + vq + c2)))
    return np.mean(found)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.tuples(st.integers(6, 14), st.integers(6, 14)))
def test_structural_similarity_equals_the_formula(seed, shape):
    one, other = np.random.default_rng(seed).normal(size=(2, *shape)).astype("float32")
    found = structural_similarity(one, other)
    assert found == pytest.approx(plain_ssim(one.astype("f8"), other.astype("f8")), abs=1e-6)
    assert structural_similarity(one, 5 * one) == pytest.approx(1, abs=1e-6)
    assert structural_similarity(one, -one) < 0
