"""Class activation maps against identities, answers worked out by hand, and other libraries."""

import keras
import nets
import numpy as np
import oracle_net
import pytest
import tensorflow as tf
from keras import layers

import vizlib
from vizlib import ConvNet, InvalidArgumentError, UnknownLayerError
from vizlib.cams import closest_classes
from vizlib.heatmaps import diagnose


def changed_head(model, kernel, bias):
    model.get_layer("out").set_weights([kernel, bias])
    return ConvNet(model, preprocess="unit")


def head_of(model):
    return model.get_layer("out").get_weights()


def values(convnet, photo, **options):
    return vizlib.grad_cam(convnet, photo, **options).values


# Answers worked out by hand.


def by_hand(side: int, head: layers.Layer | None, kernel: np.ndarray, bias: list[float]):
    """Maps that are simply red and green of the photo, and a head with given weights."""
    image = keras.Input((side, side, 3))
    maps = layers.Conv2D(2, 1, activation="relu", name="maps")(image)
    features = (head or layers.Flatten())(maps)
    model = keras.Model(image, layers.Dense(len(bias), name="out")(features))
    model.get_layer("maps").set_weights([np.eye(3)[None, None, :, :2], np.zeros(2)])
    model.get_layer("out").set_weights([kernel, np.array(bias)])
    return ConvNet(model)


def test_two_by_two_by_hand():
    """red = [[1, 2], [3, 4]], green = [[0, 4], [0, 0]]; the head takes their means.

    Class 0 is 1·mean(red) + 3·mean(green) + 5, class 1 is -2·mean(red) + 1·mean(green). A mean
    over four places has the gradient 1/4 at each, so the maps weigh 1/4 and 3/4, or -2/4 and 1/4.
    """
    convnet = by_hand(
        2, layers.GlobalAveragePooling2D(), np.array([[1.0, -2.0], [3.0, 1.0]]), [5.0, 0.0]
    )
    photo = np.zeros((2, 2, 3), "uint8")
    photo[..., 0] = [[1, 2], [3, 4]]
    photo[..., 1] = [[0, 4], [0, 0]]
    photo[..., 2] = 99
    first = vizlib.grad_cam(convnet, photo, class_index=0)
    assert first.values.tolist() == [[0.25, 3.5], [0.75, 1.0]]
    assert first.score == 2.5 * 1 + 1 * 3 + 5
    second = vizlib.grad_cam(convnet, photo, class_index=1)
    assert second.values.tolist() == [[-0.5, 0.0], [-1.5, -2.0]]
    assert second.positive.tolist() == [[0, 0], [0, 0]]
    assert second.score == 2.5 * -2 + 1
    assert second.values.dtype == np.float32


def test_three_by_three_by_hand():
    """red = 1..9, green = 9 in the middle; a head on all 18 numbers in the order of Flatten.

    It takes 9·red in the upper left corner and -18·green in the middle. Over nine places the
    gradients average to 1 and -2: the map is red - 2·green, though only two places count at all.
    """
    kernel = np.zeros((3, 3, 2, 1))
    kernel[0, 0, 0], kernel[1, 1, 1] = 9, -18
    convnet = by_hand(3, layers.Flatten(), np.hstack([kernel.reshape(18, 1)] * 2), [0.0, -1.0])
    photo = np.zeros((3, 3, 3), "uint8")
    photo[..., 0] = np.arange(1, 10).reshape(3, 3)
    photo[1, 1, 1] = 9
    heatmap = vizlib.grad_cam(convnet, photo)
    assert heatmap.class_index == 0
    assert heatmap.score == 9 * 1 - 18 * 9
    assert heatmap.values.tolist() == [[1, 2, 3], [4, 5 - 18, 6], [7, 8, 9]]
    assert heatmap.positive.tolist() == [[1, 2, 3], [4, 0, 6], [7, 8, 9]]


# Identities.


@pytest.mark.parametrize("kind", ["functional", "nested", "multi_label", "linear_head"])
def test_with_average_pooling_grad_cam_is_cam_before_relu(kind, photo):
    convnet = nets.open_net(kind)
    kernel = nets.inner(convnet.model, "out").get_weights()[0]
    maps = vizlib.activations(convnet, photo, ["c2"]).popitem()[1]
    height, width, _ = maps.shape
    for index in range(3):
        cam = maps @ kernel[:, index] / (height * width)
        np.testing.assert_allclose(values(convnet, photo, class_index=index), cam, atol=1e-7)
        _, gradient, scores = convnet.maps_and_gradient(photo, "c2", index)
        bias = nets.inner(convnet.model, "out").get_weights()[1]
        total = (maps * gradient).sum() + bias[index]
        np.testing.assert_allclose(total, scores[index], atol=1e-5)


@pytest.mark.parametrize("kind", ["functional", "nested", "multi_label", "linear_head"])
def test_with_average_pooling_every_rule_has_a_closed_form(kind, photo):
    convnet = nets.open_net(kind)
    kernel, bias = nets.inner(convnet.model, "out").get_weights()
    maps = vizlib.activations(convnet, photo, ["c2"]).popitem()[1]
    places = maps.shape[0] * maps.shape[1]
    for index in range(3):
        weights = kernel[:, index] / places
        rising = np.maximum(weights, 0)
        found = {
            method: ask(convnet, photo, class_index=index)
            for method, ask in vizlib.HEATMAP_METHODS.items()
            if method in CLOSED_FORMS
        }
        for method in ("HiResCAM", "XGrad-CAM"):
            np.testing.assert_allclose(found[method].values, maps @ weights, atol=1e-6)
        total = found["HiResCAM"].values.sum() + bias[index]
        assert total == pytest.approx(found["HiResCAM"].score, abs=1e-5)
        np.testing.assert_allclose(found["LayerCAM"].values, maps @ rising, atol=1e-6)
        sums = maps.sum(axis=(0, 1))
        plus_plus = maps @ (places * rising / (2 + sums * rising))
        np.testing.assert_allclose(found["Grad-CAM++"].values, plus_plus, rtol=1e-4)
        drops = kernel[:, index] * maps.mean(axis=(0, 1))
        np.testing.assert_allclose(found["Ablation-CAM"].values, maps @ drops, atol=1e-5)


CLOSED_FORMS = {"HiResCAM", "XGrad-CAM", "LayerCAM", "Grad-CAM++", "Ablation-CAM"}


def test_with_flatten_two_rules_keep_the_score_and_grad_cam_does_not(photo):
    convnet = nets.open_net("flatten_net")
    _, bias = head_of(convnet.model)
    off = []
    for index in range(3):
        for method in (vizlib.hires_cam, vizlib.xgrad_cam):
            heatmap = method(convnet, photo, class_index=index)
            total = heatmap.values.sum() + bias[index]
            assert total == pytest.approx(heatmap.score, abs=1e-5)
        plain = vizlib.grad_cam(convnet, photo, class_index=index)
        off.append(abs(plain.values.sum() + bias[index] - plain.score))
    assert max(off) > 0.05


def test_the_gradient_is_that_of_the_score_not_of_the_probability(photo):
    """dP_c/dA = P_c (dz_c - sum_j P_j dz_j): what a gradient after the softmax would be."""
    convnet = nets.open_net("functional")
    shares = convnet.predict(photo)
    gradients = [convnet.maps_and_gradient(photo, "c2", i)[1] for i in range(3)]
    model = convnet.model
    after = keras.Model(model.input, [model.get_layer("c2").output, model.output])
    with tf.GradientTape() as tape:
        maps, probabilities = after(convnet.input_tensor(photo)[None])
        probability = probabilities[0, 1]
    mean = sum(share * gradient for share, gradient in zip(shares, gradients, strict=True))
    expected = shares[1] * (gradients[1] - mean)
    np.testing.assert_allclose(tape.gradient(probability, maps)[0], expected, atol=1e-8)


def test_with_flatten_grad_cam_is_not_the_sum_of_maps_times_gradient(photo):
    convnet = nets.open_net("flatten_net")
    kernel, bias = head_of(convnet.model)
    off = []
    for index in range(3):
        maps, gradient, scores = convnet.maps_and_gradient(photo, "c2", index)
        np.testing.assert_allclose(gradient, kernel[:, index].reshape(gradient.shape), atol=1e-7)
        by_place = (maps * gradient).sum(axis=-1)
        np.testing.assert_allclose(by_place.sum() + bias[index], scores[index], atol=1e-5)
        heatmap = values(convnet, photo, class_index=index)
        assert np.abs(heatmap - by_place).max() > 0.3 * np.abs(by_place).max()
        off.append(abs(heatmap.sum() + bias[index] - scores[index]))
        expected = maps @ kernel[:, index].reshape(gradient.shape).mean(axis=(0, 1))
        np.testing.assert_allclose(heatmap, expected, atol=1e-6)
    assert max(off) > 0.05


@pytest.mark.parametrize("layer", ["c1", "pool", "c2"])
@pytest.mark.parametrize("kind", ["functional", "flatten_net", "batch_normalized"])
def test_maps_and_gradient_equal_a_plain_tape_on_a_submodel(kind, layer, photo):
    if layer == "pool" and kind == "batch_normalized":
        layer = "bn"
    convnet = nets.open_net(kind)
    model = convnet.model
    linear = keras.Model(model.input, [model.get_layer(layer).output, _logits(model)])
    with tf.GradientTape() as tape:
        expected_maps, expected_scores = linear(convnet.input_tensor(photo)[None])
        score = expected_scores[0, 2]
    expected = tape.gradient(score, expected_maps)[0]
    maps, gradient, scores = convnet.maps_and_gradient(photo, layer, 2)
    np.testing.assert_allclose(maps, expected_maps[0], atol=1e-6)
    np.testing.assert_allclose(scores, expected_scores[0], atol=1e-6)
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-8)
    assert np.abs(gradient).max() > 1e-5


def _logits(model):
    out = model.get_layer("out")
    linear = layers.Dense(out.units)
    logits = linear(out.input)
    linear.set_weights(out.get_weights())
    return logits


def test_one_sigmoid_unit_speaks_against_one_class_what_it_says_for_the_other(photo):
    convnet = nets.open_net("one_sigmoid")
    for layer in ("c1", "c2"):
        first, second = (
            vizlib.grad_cam(convnet, photo, class_index=i, layer=layer) for i in range(2)
        )
        assert np.abs(first.values).max() > 1e-5
        np.testing.assert_array_equal(first.values, -second.values)
        assert first.score == -second.score


def test_one_sigmoid_unit_equals_a_softmax_over_zero_and_itself(photo):
    single = nets.open_net("one_sigmoid")
    kernel, bias = head_of(single.model)
    twin = nets.functional(2, "softmax")
    twin.set_weights([*single.model.get_weights()[:-2], *head_of(twin)])
    double = changed_head(twin, np.hstack([0 * kernel, kernel]), np.append(0 * bias, bias))
    np.testing.assert_allclose(
        values(single, photo, class_index=1), values(double, photo, class_index=1), atol=1e-7
    )
    np.testing.assert_allclose(single.predict(photo), double.predict(photo), atol=1e-6)


# Invariances.


def test_permuting_the_classes_permutes_the_maps(photo):
    plain = nets.open_net("functional")
    kernel, bias = head_of(plain.model)
    order = [2, 0, 1]
    permuted = changed_head(nets.functional(), kernel[:, order], bias[order])
    maps = [values(plain, photo, class_index=i) for i in range(3)]
    assert np.abs(maps[0] - maps[1]).max() > 1e-3
    for new, old in enumerate(order):
        np.testing.assert_allclose(values(permuted, photo, class_index=new), maps[old], atol=1e-7)


def test_scaling_the_head_leaves_the_normalised_map(photo):
    plain = nets.open_net("functional")
    kernel, bias = head_of(plain.model)
    scaled = changed_head(nets.functional(), 7 * kernel, 7 * bias)
    mine, theirs = (values(c, photo, class_index=1) for c in (plain, scaled))
    np.testing.assert_allclose(theirs, 7 * mine, rtol=1e-4, atol=1e-7)
    normalised = (x / np.abs(x).max() for x in (mine, theirs))
    np.testing.assert_allclose(*normalised, atol=1e-5)


def test_a_constant_added_to_every_bias_of_the_head_changes_nothing(photo):
    plain = nets.open_net("functional")
    kernel, bias = head_of(plain.model)
    lifted = changed_head(nets.functional(), kernel, bias + 3)
    for index in range(3):
        mine, theirs = (vizlib.grad_cam(c, photo, class_index=index) for c in (plain, lifted))
        np.testing.assert_allclose(mine.values, theirs.values, atol=1e-7)
        assert theirs.score == pytest.approx(mine.score + 3, abs=1e-5)
    np.testing.assert_allclose(plain.predict(photo), lifted.predict(photo), atol=1e-6)


@pytest.mark.parametrize("layer", ["c1", "c2"])
def test_a_mirrored_photo_gives_the_mirrored_map(layer, photo):
    model = nets.functional()
    for name in ("c1", "c2"):
        kernel, bias = model.get_layer(name).get_weights()
        model.get_layer(name).set_weights([kernel + kernel[:, ::-1], bias])
    convnet = ConvNet(model, preprocess="unit")
    plain = values(convnet, photo, layer=layer, class_index=0)
    mirrored = values(convnet, photo[:, ::-1].copy(), layer=layer, class_index=0)
    assert np.abs(plain - plain[:, ::-1]).max() > 0.1 * np.abs(plain).max()
    np.testing.assert_allclose(mirrored, plain[:, ::-1], atol=1e-6)


def test_signs_are_kept(photo):
    """With a head that the photo leaves at its bias, evidence for and against sums to zero."""
    convnet = nets.open_net("functional")
    kernel, bias = head_of(convnet.model)
    mean = vizlib.activations(convnet, photo, ["c2"])["c2"].mean(axis=(0, 1))
    kernel -= np.outer(mean, mean @ kernel) / (mean @ mean)
    heatmap = vizlib.grad_cam(changed_head(convnet.model, kernel, bias), photo, class_index=0)
    assert heatmap.values.min() < -1e-4 < 1e-4 < heatmap.values.max()
    assert heatmap.values.sum() == pytest.approx(0, abs=1e-6)
    assert heatmap.diagnosis is None
    np.testing.assert_array_equal(heatmap.positive, np.where(heatmap.values > 0, heatmap.values, 0))


def test_the_class_of_the_top_score_by_default(photo):
    for best in range(3):
        model = nets.functional()
        kernel, bias = head_of(model)
        convnet = changed_head(model, kernel, bias + 5 * np.eye(3)[best])
        found = vizlib.grad_cam(convnet, photo)
        asked = vizlib.grad_cam(convnet, photo, class_index=best)
        assert found.class_index == convnet.top(photo)[0].class_index == best
        np.testing.assert_array_equal(found.values, asked.values)
        assert found.score == asked.score


def test_each_option_counts(photo):
    convnet = nets.open_net("functional")
    plain = vizlib.grad_cam(convnet, photo)
    assert (plain.method, plain.layer, plain.values.shape) == ("Grad-CAM", "c2", (8, 8))
    early = vizlib.grad_cam(convnet, photo, layer="c1")
    assert (early.layer, early.values.shape) == ("c1", (16, 16))
    other = (plain.class_index + 1) % 3
    assert np.abs(values(convnet, photo, class_index=other) - plain.values).max() > 1e-3
    numpy_index = vizlib.grad_cam(convnet, photo, class_index=np.int64(other))
    assert type(numpy_index.class_index) is int
    assert vizlib.HEATMAP_METHODS["Grad-CAM"] is vizlib.grad_cam
    with pytest.raises(UnknownLayerError, match="'nowhere'"):
        vizlib.grad_cam(convnet, photo, layer="nowhere")


def test_a_layer_that_feeds_only_another_output_is_refused(photo):
    nets.seeded()
    image = nets.image_input()
    maps = nets.body(image)
    side = nets.conv(3, "mask", activation="sigmoid")(maps)
    convnet = ConvNet(keras.Model(image, [side, nets.head(maps)]), preprocess="unit")
    with pytest.raises(InvalidArgumentError, match=r"scores rest on\. Received: 'mask'.*Try 'c2'"):
        vizlib.grad_cam(convnet, photo, layer="mask")
    assert vizlib.grad_cam(convnet, photo).layer == "c2"


def test_the_two_calls_of_a_shared_layer_have_their_own_maps(photo):
    convnet = nets.open_net("shared_layer")
    model = convnet.model
    c1, c2, out = (nets.inner(model, name) for name in ("c1", "c2", "out"))
    once = c2(c1(convnet.input_tensor(photo)[None]))
    with tf.GradientTape() as tape:
        tape.watch(once)
        twice = c2(once)
        logits = tf.reduce_mean(twice, axis=(1, 2)) @ out.kernel + out.bias
        score = logits[0, 1]
    gradient = tape.gradient(score, once)[0].numpy()
    expected = once[0].numpy() @ gradient.mean(axis=(0, 1))
    np.testing.assert_allclose(values(convnet, photo, layer="c2", class_index=1), expected, 1e-4)
    second = twice[0].numpy() @ out.kernel.numpy()[:, 1] / 256
    np.testing.assert_allclose(
        values(convnet, photo, layer="c2:2", class_index=1), second, 1e-4, 1e-8
    )


# Independent libraries.


@pytest.fixture(scope="module")
def oracle():
    return oracle_net.load()


@pytest.mark.parametrize("number", range(3))
def test_logits_maps_and_gradients_equal_those_of_pytorch(oracle, number):
    convnet, images, expected = oracle
    maps, gradient, scores = convnet.maps_and_gradient(images[number], "c2", 1)
    np.testing.assert_allclose(scores, expected["logits"][number], rtol=0, atol=1e-5)
    np.testing.assert_allclose(
        convnet.scores(images[number]), expected["logits"][number], 0, atol=1e-5
    )
    np.testing.assert_allclose(maps, expected["maps"][number], rtol=0, atol=1e-5)
    np.testing.assert_allclose(gradient, expected["gradients"][number], rtol=0, atol=1e-5)


SHOWN = {
    "Grad-CAM": "pgc_GradCAM",
    "HiResCAM": "pgc_HiResCAM",
    "XGrad-CAM": "pgc_XGradCAM",
    "LayerCAM": "pgc_LayerCAM",
}


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("method", SHOWN)
def test_maps_equal_those_of_pytorch_grad_cam(method, number, oracle):
    convnet, images, expected = oracle
    heatmap = vizlib.HEATMAP_METHODS[method](convnet, images[number], class_index=1, layer="c2")
    shown = oracle_net.as_shown_by_pytorch_grad_cam(heatmap.values)
    np.testing.assert_allclose(shown, expected[SHOWN[method]][number], rtol=0, atol=1e-5)
    other = "pgc_HiResCAM" if method == "Grad-CAM" else "pgc_GradCAM"
    assert np.abs(shown - expected[other][number]).max() > 0.05


@pytest.mark.parametrize("number", range(3))
def test_grad_cam_plus_plus_equals_that_of_pytorch_grad_cam_but_for_its_epsilon(number, oracle):
    """That library adds 1e-6 below the line, where squares of gradients as small stand."""
    convnet, images, expected = oracle
    maps, gradient, _ = convnet.maps_and_gradient(images[number], "c2", 1)
    squares = gradient.astype("float64") ** 2

    def values(epsilon):
        below = 2 * squares + maps.sum(axis=(0, 1)) * squares * gradient + epsilon
        return maps @ (squares / below * np.maximum(gradient, 0)).sum(axis=(0, 1))

    shown = oracle_net.as_shown_by_pytorch_grad_cam(values(1e-6))
    np.testing.assert_allclose(shown, expected["pgc_GradCAMPlusPlus"][number], rtol=0, atol=1e-5)
    own = vizlib.grad_cam_plus_plus(convnet, images[number], class_index=1, layer="c2").values
    np.testing.assert_allclose(own, values(0), rtol=1e-5)
    shown = oracle_net.as_shown_by_pytorch_grad_cam(own)
    np.testing.assert_allclose(shown, expected["pgc_GradCAMPlusPlus"][number], rtol=0, atol=1e-3)


# Finer-CAM.


def test_closest_classes_by_hand():
    scores = np.array([5.0, 1.0, 4.5, 7.0, 5.0])
    assert closest_classes(scores, 0, 3) == [4, 2, 3]
    assert closest_classes(scores, 3, 2) == [0, 4]
    assert closest_classes(scores, 1, 9) == [2, 0, 4, 3]


def test_finer_cam_is_grad_cam_less_a_share_of_the_others(photo):
    convnet = nets.open_net("functional")
    maps = [values(convnet, photo, class_index=i) for i in range(3)]
    found = vizlib.finer_cam(convnet, photo, class_index=1)
    np.testing.assert_allclose(found.values, maps[1] - 0.3 * (maps[0] + maps[2]), atol=1e-7)
    assert found.caveat == "What sets class 1 apart from: class 0, class 2." or (
        found.caveat == "What sets class 1 apart from: class 2, class 0."
    )
    full = vizlib.finer_cam(convnet, photo, class_index=1, strength=1, compared=[2])
    np.testing.assert_allclose(full.values, maps[1] - maps[2], atol=1e-7)
    assert full.caveat == "What sets class 1 apart from: class 2."
    none = vizlib.finer_cam(convnet, photo, class_index=1, strength=0)
    np.testing.assert_allclose(none.values, maps[1], atol=1e-7)


def test_finer_cam_compares_with_the_closest(photo):
    convnet = nets.open_net("functional")
    scores = convnet.scores(photo)
    order = np.argsort(-scores)
    closest = order[0] if scores[order[0]] - scores[order[1]] < np.ptp(scores) / 2 else order[2]
    one = vizlib.finer_cam(convnet, photo, class_index=int(order[1]), compared=1)
    asked = vizlib.finer_cam(convnet, photo, class_index=int(order[1]), compared=[int(closest)])
    np.testing.assert_array_equal(one.values, asked.values)
    assert one.caveat == asked.caveat


def test_what_two_classes_share_drops_out_of_finer_cam(photo):
    """Two classes that rest on the same channel, one of them on another channel, too."""
    convnet = nets.open_net("functional")
    kernel, bias = head_of(convnet.model)
    kernel[:] = 0
    kernel[0, :2], kernel[1, 1] = 3, 2
    changed = changed_head(convnet.model, kernel, bias)
    maps = vizlib.activations(changed, photo, ["c2"])["c2"]
    found = vizlib.finer_cam(changed, photo, class_index=1, compared=[0], strength=1)
    np.testing.assert_allclose(found.values, 2 * maps[..., 1] / 64, atol=1e-7)
    assert np.abs(maps[..., 0]).max() > 0.01


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"compared": [1]}, "classes other than 1. Received: \\[1\\]"),
        ({"compared": []}, "classes other than 1"),
        ({"compared": [3]}, "class_index from 0 to 2. Received: 3"),
        ({"compared": 0}, "compared to be a whole number of at least 1. Received: 0"),
        ({"compared": "cat"}, "class_index from 0 to 2"),
        ({"strength": 1.5}, "strength to be a number from 0 to 1. Received: 1.5"),
        ({"strength": "much"}, "strength to be a number from 0 to 1. Received: 'much'"),
        ({"strength": float("nan")}, "strength to be a number"),
    ],
)
def test_finer_cam_refuses_what_cannot_be_compared(options, message, photo):
    with pytest.raises(InvalidArgumentError, match=message):
        vizlib.finer_cam(nets.open_net("functional"), photo, class_index=1, **options)


# Eigen-CAM and Grad-CAM++ say what they cannot tell.


def test_eigen_cam_is_the_same_for_every_class_and_says_so(photo):
    convnet = nets.open_net("functional")
    found = [vizlib.eigen_cam(convnet, photo, class_index=i) for i in range(3)]
    for index, heatmap in enumerate(found):
        np.testing.assert_array_equal(heatmap.values, found[0].values)
        assert (heatmap.class_index, heatmap.class_free) == (index, True)
        assert "the same for every one of them" in heatmap.caveat
    assert len({heatmap.score for heatmap in found}) == 3
    maps = vizlib.activations(convnet, photo, ["c2"])["c2"].astype("float64")
    right = np.linalg.svd(maps.reshape(-1, 6))[2][0]
    np.testing.assert_allclose(found[0].values, np.abs(maps @ right), atol=1e-5)


def test_grad_cam_plus_plus_warns_of_maps_far_below_zero(photo):
    convnet = nets.open_net("batch_normalized")
    model = convnet.model
    model.get_layer("bn").set_weights([np.ones(6), np.full(6, -9.0), np.zeros(6), np.ones(6)])
    model.get_layer("relu").negative_slope = 0.5
    heatmap = vizlib.grad_cam_plus_plus(convnet, photo, layer="bn")
    assert "Pick a layer after an activation" in heatmap.diagnosis
    after = vizlib.grad_cam_plus_plus(nets.open_net("batch_normalized"), photo, layer="relu")
    assert after.diagnosis is None


# What is said about maps that show nothing.


def zero_map(photo):
    kernel, bias = head_of(model := nets.functional())
    return vizlib.grad_cam(changed_head(model, 0 * kernel, bias), photo)


def constant_map(photo):
    kernel = np.array([[1.0, -2.0], [3.0, 1.0]])
    convnet = by_hand(2, layers.GlobalAveragePooling2D(), kernel, [5.0, 0.0])
    return vizlib.grad_cam(convnet, np.full_like(photo, 90), class_index=0)


def not_finite_map(photo):
    kernel, bias = head_of(model := nets.functional())
    kernel[0, 0] = np.nan
    return vizlib.grad_cam(changed_head(model, kernel, bias), photo, class_index=0)


def infinite_weights_map(photo):
    model = nets.functional()
    weights = model.get_weights()
    weights[0][0, 0, 0, 0] = np.inf
    model.set_weights(weights)
    return vizlib.grad_cam(ConvNet(model, preprocess="unit"), photo, class_index=0)


def one_by_one_map(photo):
    nets.seeded()
    image = nets.image_input()
    x = layers.GlobalAveragePooling2D(keepdims=True, name="gap")(nets.body(image))
    x = layers.Dense(3, "softmax", name="out")(layers.Flatten()(x))
    return vizlib.grad_cam(ConvNet(keras.Model(image, x)), photo, layer="gap")


def negative_map(photo):
    kernel, bias = head_of(model := nets.functional())
    return vizlib.grad_cam(changed_head(model, -np.abs(kernel), bias), photo, class_index=1)


@pytest.mark.parametrize(
    ("make", "sentence", "empty"),
    [
        (zero_map, "zero everywhere", True),
        (constant_map, "same value everywhere", False),
        (not_finite_map, "not finite", True),
        (infinite_weights_map, "not finite", True),
        (one_by_one_map, "1x1", False),
        (negative_map, "every place counts against it", False),
    ],
)
def test_a_map_that_shows_nothing_says_why(make, sentence, empty, photo):
    heatmap = make(photo)
    assert sentence in heatmap.diagnosis
    assert np.isfinite(heatmap.values).all()
    assert heatmap.values.any() != empty
    others = {"zero everywhere", "same value", "not finite", "1x1", "counts against"}
    assert sum(other in heatmap.diagnosis for other in others) == 1


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ([[0, 0], [0, 0]], "zero everywhere"),
        ([[2, 2], [2, 2]], "same value"),
        ([[-2, -2], [-2, -2]], "same value"),
        ([[np.nan, 1], [0, 0]], "not finite"),
        ([[np.inf, 1], [0, 0]], "not finite"),
        ([[3]], "1x1"),
        ([[-1, -2], [0, -1]], "counts against"),
        ([[-1, -2], [1e-9, -1]], None),
        ([[0, 1], [0, 0]], None),
    ],
)
def test_diagnoses_of_given_maps(values, sentence):
    found = diagnose(np.array(values, "float32"))
    assert found is None if sentence is None else sentence in found
