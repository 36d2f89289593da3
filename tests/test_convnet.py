"""`ConvNet` against NumPy, Keras' own sub-models, and twins with the same weights."""

import cv2
import keras
import nets
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import vizlib
from vizlib import ConvNet, InvalidArgumentError, UnknownLayerError, UnsupportedModelError, heads

CLASSIFIERS = sorted(set(nets.KINDS) - nets.NOT_CLASSIFIERS)


def tolerance(kind: str) -> dict[str, float]:
    """Half precision carries eleven bits."""
    return {"rtol": 0, "atol": 5e-3 if kind.startswith("mixed") else 2e-5}


def reference(kind, convnet, photo):
    """Maps, scores and probabilities of a photo, in NumPy."""
    x = nets.np_first_input(kind, convnet.input_tensor(photo))
    maps = nets.np_maps(kind, convnet.model, x)
    scores = None if kind in nets.NOT_CLASSIFIERS else nets.np_scores(kind, convnet.model, maps)
    return maps, scores


def np_softmax(z):
    e = np.exp(z - z.max())
    return e / e.sum()


# Every kind of model, every capability, each against NumPy.


@pytest.mark.parametrize("kind", sorted(nets.KINDS))
def test_activations_of_every_kind_equal_numpy(kind, photo):
    convnet = nets.open_net(kind)
    expected, _ = reference(kind, convnet, photo)
    found = vizlib.activations(convnet, photo)
    assert list(found) == [layer.name for layer in convnet.layers]
    preparing = {"flip", "rotate", "zoom", "noise", "rescale"} if kind == "augmented" else set()
    assert [name for name in found if name not in preparing] == list(expected)
    for name, maps in expected.items():
        assert found[name].dtype == np.float32
        assert found[name].shape == convnet.layer(name).shape
        np.testing.assert_allclose(found[name], maps, **tolerance(kind), err_msg=name)


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_scores_and_probabilities_of_every_kind_equal_numpy(kind, photo):
    convnet = nets.open_net(kind)
    _, expected = reference(kind, convnet, photo)
    scores, probabilities = convnet.scores(photo), convnet.predict(photo)
    assert scores.dtype == probabilities.dtype == np.float32
    np.testing.assert_allclose(scores, expected, **tolerance(kind))
    independent = kind in {"multi_label", "one_sigmoid"}
    mapped = nets.np_sigmoid(expected) if independent else np_softmax(expected)
    np.testing.assert_allclose(probabilities, mapped, **tolerance(kind))
    top = convnet.top(photo, k=2)
    assert [p.class_index for p in top] == list(np.argsort(-mapped)[:2])
    assert [p.probability for p in top] == [probabilities[p.class_index] for p in top]
    assert [p.label for p in top] == [f"class {p.class_index}" for p in top]


@pytest.mark.parametrize("kind", [k for k in CLASSIFIERS if k != "flatten_net"])
def test_grad_cam_of_every_kind_equals_the_class_activation_map(kind, photo):
    convnet = nets.open_net(kind)
    expected, scores = reference(kind, convnet, photo)
    name, last = list(expected.items())[-1]
    kernel = nets.inner(convnet.model, "out").get_weights()[0][: last.shape[-1]]
    if kind == "one_sigmoid":
        kernel = np.hstack([-kernel, kernel])
    for index in range(convnet.classes):
        heatmap = vizlib.grad_cam(convnet, photo, class_index=index)
        cam = last @ kernel[:, index] / (last.shape[0] * last.shape[1])
        assert heatmap.layer == convnet.default_layer == name
        assert heatmap.class_index == index
        assert heatmap.score == pytest.approx(scores[index], abs=tolerance(kind)["atol"])
        limit = 2e-2 * np.abs(cam).max() if kind.startswith("mixed") else 1e-6
        np.testing.assert_allclose(heatmap.values, cam, rtol=0, atol=limit)


@pytest.mark.parametrize("kind", sorted(set(nets.KINDS) - {"uint8_input", "batch_normalized"}))
def test_filter_patterns_of_every_kind_start_from_the_mean_that_numpy_gives(kind):
    convnet = nets.open_net(kind)
    name = next(layer.name for layer in convnet.layers if layer.name.split("/")[-1] == "c1")
    patterns = vizlib.filter_patterns(convnet, name, [2, 0], recipe="classic", steps=2, seed=4)
    shape = (*convnet.input_size, convnet.input_channels)
    assert patterns.images.shape == (2, *convnet.input_size, 3)
    for channel, objective in zip((2, 0), patterns.objective, strict=True):
        start = 255 * np.random.default_rng((4, channel)).uniform(0.4, 0.6, shape)
        tensor = convnet.preprocessing.apply(start.astype("float32"))
        before = nets.np_conv(nets.np_first_input(kind, tensor), nets.inner(convnet.model, "c1"))
        fired = nets.np_relu(before)[..., channel].mean()
        expected = fired or min(before[..., channel].mean(), 0)
        np.testing.assert_allclose(objective[0], expected, rtol=0, atol=tolerance(kind)["atol"])
        assert objective[1] > objective[0]
    last = vizlib.filter_patterns(convnet, convnet.layers[-1].name, [0, 1], steps=2)
    assert last.images.shape == (2, *convnet.input_size, 3)
    assert np.isfinite(last.objective).all()


def test_whole_number_input_lets_no_gradient_through_and_says_so():
    with pytest.raises(UnsupportedModelError, match="whole-number input"):
        vizlib.filter_patterns(nets.open_net("uint8_input"), "c2", [0, 1], steps=2)


@pytest.mark.parametrize("kind", sorted(nets.NOT_CLASSIFIERS))
@pytest.mark.parametrize(
    "ask",
    [
        lambda c, p: c.predict(p),
        lambda c, p: c.scores(p),
        lambda c, p: c.top(p),
        lambda c, p: c.classes,
        lambda c, p: c.class_index(0),
        lambda c, p: vizlib.grad_cam(c, p),
    ],
    ids=["predict", "scores", "top", "classes", "class_index", "grad_cam"],
)
def test_what_is_no_classifier_says_so(kind, ask, photo):
    convnet = nets.open_net(kind)
    assert not convnet.is_classifier
    with pytest.raises(UnsupportedModelError, match=r"Expected a classifier\. Received '.+'"):
        ask(convnet, photo)


def test_a_base_that_ends_in_pooling_is_no_classifier_unless_it_has_labels(photo):
    base = nets.backbone()
    pooled = keras.Model(base.input, layers.GlobalAveragePooling2D(name="gap")(base.output))
    assert not ConvNet(pooled).is_classifier
    labelled = ConvNet(pooled, preprocess="unit", labels=list("abcdef"))
    expected = vizlib.activations(labelled, photo, ["c2"])["c2"].mean(axis=(0, 1))
    np.testing.assert_allclose(labelled.scores(photo), expected, atol=1e-6)


# Differential checks.


@pytest.mark.parametrize("kind", ["functional", "flatten_net", "batch_normalized", "two_outputs"])
def test_maps_equal_an_independently_built_submodel(kind, photo):
    convnet = nets.open_net(kind)
    batch = convnet.input_tensor(photo)[None]
    for name, maps in vizlib.activations(convnet, photo).items():
        submodel = keras.Model(convnet.model.input, convnet.model.get_layer(name).output)
        np.testing.assert_allclose(maps, submodel(batch)[0], rtol=1e-6, atol=1e-6)


SAME_WEIGHTS = [
    *("functional", "softmax_layer", "activation_layer", "ops_softmax", "multi_label"),
    *("sequential", "sequential_without_input", "nested", "nested_in_sequential", "subclassed"),
    *("fixed_batch", "mixed_precision", "mixed_precision_throughout"),
]


@pytest.mark.parametrize("kind", SAME_WEIGHTS)
def test_everything_equals_the_flat_twin_with_a_linear_head(kind, photo):
    convnet, twin = nets.open_net(kind), nets.open_net("linear_head")
    for mine, theirs in zip(convnet.model.weights, twin.model.weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    limits = tolerance(kind)
    np.testing.assert_allclose(convnet.scores(photo), twin.scores(photo), **limits)
    found, expected = vizlib.activations(convnet, photo), vizlib.activations(twin, photo)
    for mine, theirs in zip(found.values(), expected.values(), strict=True):
        np.testing.assert_allclose(mine, theirs, **limits)
    for layer in ("c1", "c2"):
        mine = vizlib.grad_cam(convnet, photo, layer=layer, class_index=1).values
        theirs = vizlib.grad_cam(twin, photo, layer=layer, class_index=1).values
        limit = (2e-2 if kind.startswith("mixed") else 1e-5) * np.abs(theirs).max()
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=limit)


def test_doubly_nested_equals_its_flat_twin(photo):
    nested = nets.open_net("doubly_nested")
    image = nets.image_input()
    x = nets.conv(5, "c3")(nets.body(image))
    flat_model = keras.Model(image, nets.head(x))
    flat_model.set_weights(nested.model.get_weights())
    flat = ConvNet(flat_model, preprocess="unit")
    np.testing.assert_allclose(nested.scores(photo), flat.scores(photo), atol=1e-6)
    for layer in ("c1", "pool", "c2", "c3"):
        mine, theirs = (vizlib.grad_cam(c, photo, layer=layer).values for c in (nested, flat))
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("reshaped", [False, True])
def test_a_whole_classifier_inside_another_model_equals_it(reshaped, photo):
    """As people wrap them: rescaling first, and sometimes something after the softmax."""
    inside = nets.functional()
    image = nets.image_input()
    output = inside(layers.Rescaling(1 / 255, name="rescale")(image))
    output = layers.Reshape((3,), name="reshape")(output) if reshaped else output
    wrapped, plain = ConvNet(keras.Model(image, output)), ConvNet(inside, preprocess="unit")
    np.testing.assert_allclose(wrapped.scores(photo), plain.scores(photo), atol=1e-6)
    np.testing.assert_allclose(wrapped.predict(photo), plain.predict(photo), atol=1e-6)
    mine, theirs = (vizlib.grad_cam(c, photo) for c in (wrapped, plain))
    assert mine.layer == "functional/c2"
    np.testing.assert_allclose(mine.values, theirs.values, rtol=1e-4, atol=1e-7)


def test_two_images_through_one_backbone_are_told_apart(photo):
    """The second image is given as another input; Keras decides which of the two runs first."""
    convnet, backbone, other = two_images_one_backbone()
    maps = vizlib.activations(convnet, photo, ["backbone/c2", "backbone/c2:2"])
    found = [maps["backbone/c2"], maps["backbone/c2:2"]]
    images = convnet.input_tensor(photo), other
    expected = [backbone(image[None])[0].numpy() for image in images]
    if np.abs(found[0] - expected[0]).max() > np.abs(found[0] - expected[1]).max():
        expected.reverse()
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.abs(expected[0] - expected[1]).max() > 0.1


def test_a_nested_model_is_no_layer_of_its_own_at_its_second_call_either():
    convnet, _, _ = two_images_one_backbone()
    names = [f"backbone/{name}{call}" for call in ("", ":2") for name in ("c1", "pool", "c2")]
    assert [layer.name for layer in convnet.layers] == names


def two_images_one_backbone():
    nets.seeded()
    backbone = nets.backbone()
    first, second = (keras.Input((nets.SIDE, nets.SIDE, 3), name=n) for n in ("first", "second"))
    pooled = [layers.GlobalAveragePooling2D()(backbone(x)) for x in (first, second)]
    model = keras.Model([first, second], layers.Dense(3, name="out")(layers.Concatenate()(pooled)))
    other = np.random.default_rng(5).uniform(0, 1, (nets.SIDE, nets.SIDE, 3)).astype("float32")
    return ConvNet(model, preprocess="unit", other_inputs={"second": other}), backbone, other


def test_augmentation_is_off(photo):
    convnet = nets.open_net("augmented")
    plain = ConvNet(nets.augmented(augment=False))
    np.testing.assert_array_equal(convnet.scores(photo), convnet.scores(photo))
    np.testing.assert_allclose(convnet.scores(photo), plain.scores(photo), atol=1e-6)
    found, expected = vizlib.activations(convnet, photo), vizlib.activations(plain, photo)
    for name, maps in expected.items():
        np.testing.assert_allclose(found[name], maps, atol=1e-6, err_msg=name)
    mine, theirs = (vizlib.grad_cam(c, photo).values for c in (convnet, plain))
    np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-7)


# Where the logits are.


@pytest.mark.parametrize("kind", ["functional", "one_sigmoid", "multi_label", "activation_layer"])
def test_keras_still_keeps_the_logits_on_the_output(kind):
    model = nets.KINDS[kind]()
    output = model(np.zeros((1, nets.SIDE, nets.SIDE, 3), "float32"))
    kept = getattr(output, "_keras_logits", None)
    assert kept is not None, (
        "This Keras no longer puts `_keras_logits` on the output of softmax and sigmoid. "
        "vizlib.heads.logits reads it as its quick way to the class scores. Nothing is wrong yet: "
        "the way through the graph takes over (see the next test), at the price of a tracing for "
        "each network. Look for what took the attribute's place in keras/src/activations."
    )
    mapped = tf.nn.softmax(kept) if kind in {"functional", "activation_layer"} else tf.sigmoid(kept)
    np.testing.assert_allclose(output, mapped, atol=1e-6)


HEADS = [
    *("functional", "one_sigmoid", "multi_label", "softmax_layer", "activation_layer"),
    *("ops_softmax", "mixed_precision", "mixed_precision_throughout", "nested", "subclassed"),
    *("linear_head", "two_outputs"),
]


@pytest.mark.parametrize("kind", HEADS)
def test_the_graph_gives_the_same_logits_where_keras_keeps_none(kind, photo, monkeypatch):
    plain = nets.open_net(kind)
    find = heads.logits

    def find_without_help(output):
        if hasattr(output, "_keras_logits"):
            del output._keras_logits
        return find(output)

    expected = plain.scores(photo), plain.predict(photo), vizlib.grad_cam(plain, photo)
    monkeypatch.setattr(heads, "logits", find_without_help)
    hidden = nets.open_net(kind)
    assert hidden._head.kind == plain._head.kind
    limits = {"rtol": 1e-5, "atol": 2e-3 if kind.startswith("mixed") else 1e-6}
    np.testing.assert_allclose(hidden.scores(photo), expected[0], **limits)
    np.testing.assert_allclose(hidden.predict(photo), expected[1], **limits)
    heatmap = vizlib.grad_cam(hidden, photo)
    np.testing.assert_allclose(heatmap.values, expected[2].values, **limits)
    assert heatmap.class_index == expected[2].class_index


def test_a_saturated_softmax_still_has_a_heatmap(photo):
    convnet = nets.open_net("functional")
    kernel, bias = convnet.model.get_layer("out").get_weights()
    convnet.model.get_layer("out").set_weights([1000 * kernel, 1000 * bias])
    assert convnet.predict(photo).max() == 1.0
    plain = vizlib.grad_cam(nets.open_net("functional"), photo).values
    saturated = vizlib.grad_cam(convnet, photo).values
    assert np.abs(plain).max() > 1e-4
    np.testing.assert_allclose(saturated, 1000 * plain, rtol=1e-4, atol=1e-4)


def test_one_sigmoid_unit_predicts_like_a_softmax_over_zero_and_itself(photo):
    single = nets.open_net("one_sigmoid")
    double = nets.open_net("linear_head")
    weights = single.model.get_weights()
    kernel, bias = weights[-2:]
    twin = nets.functional(2, "softmax")
    twin.set_weights([*weights[:-2], np.hstack([0 * kernel, kernel]), np.hstack([0 * bias, bias])])
    double = ConvNet(twin, preprocess="unit")
    assert abs(double.scores(photo)[1]) > 0.01
    np.testing.assert_allclose(single.predict(photo), double.predict(photo), atol=1e-6)


def test_independent_sigmoids_stay_independent_however_sure_they_are_at_first_sight():
    """On noise exactly one of three units is on, so that the output looks like a softmax's."""
    model = nets.multi_label()
    kernel, _ = model.get_layer("out").get_weights()
    signs = np.array([-1.0, 1.0, -1.0])
    model.get_layer("out").set_weights([np.abs(kernel) * 3000 * signs, np.array([2.0, 1.0, -1.0])])
    for layer in ("c1", "c2"):
        own = model.get_layer(layer)
        own.set_weights([np.abs(own.get_weights()[0]), 0 * own.get_weights()[1]])
    convnet = ConvNet(model, preprocess="unit")
    black = np.zeros((16, 16, 3), "uint8")
    expected = 1 / (1 + np.exp([-2.0, -1.0, 1.0]))
    np.testing.assert_allclose(convnet.predict(black), expected, atol=1e-5)


def test_an_average_of_two_softmaxes_is_predicted_as_it_is(photo):
    """Its output holds probabilities, so that reading it as logits would flatten them."""
    nets.seeded()
    image = nets.image_input()
    features = layers.GlobalAveragePooling2D()(nets.body(image))
    votes = [layers.Dense(3, "softmax")(10 * features) for _ in range(2)]
    model = keras.Model(image, layers.Average()(votes))
    convnet = ConvNet(model, preprocess="unit")
    expected = model(convnet.input_tensor(photo)[None])[0].numpy()
    np.testing.assert_allclose(convnet.predict(photo), expected, atol=1e-5)


# Names.


def two_backbones():
    nets.seeded()
    image = nets.image_input()
    x = layers.Add(name="sum")([nets.backbone(name=n)(image) for n in ("left", "right")])
    return keras.Model(image, nets.head(nets.conv(6, "pool")(x)))


def test_an_unknown_layer_is_answered_with_close_matches():
    with pytest.raises(UnknownLayerError, match=r"Received: 'backbonec2'.*backbone/c2"):
        nets.open_net("nested").layer("backbonec2")
    with pytest.raises(UnknownLayerError, match="'out'"):
        nets.open_net("nested").layer("out")
    with pytest.raises(UnknownLayerError, match="'c9'"):
        vizlib.activations(nets.open_net("nested"), np.zeros((9, 9, 3), "uint8"), ["c9"])


def test_a_tail_is_enough_unless_two_layers_share_it():
    convnet = ConvNet(two_backbones(), preprocess="unit")
    with pytest.raises(UnknownLayerError, match="several: left/c2, right/c2"):
        convnet.layer("c2")
    assert convnet.layer("left/c2").name == "left/c2"
    nested = nets.open_net("doubly_nested")
    assert nested.layer("c2").name == nested.layer("inner/c2").name == "outer/inner/c2"
    with pytest.raises(UnknownLayerError):
        nested.layer("er/c2")


def test_an_exact_path_wins_over_tails():
    convnet = ConvNet(two_backbones(), preprocess="unit")
    assert {"left/pool", "right/pool", "pool"} <= {layer.name for layer in convnet.layers}
    assert convnet.layer("pool").name == "pool"
    assert convnet.layer("pool").kind == "Conv2D"


def test_layers_tell_kind_shape_and_parameters_in_run_order():
    convnet = nets.open_net("shared_layer")
    assert [(x.name, x.kind, x.shape, x.parameters) for x in convnet.layers] == [
        ("c1", "Conv2D", (16, 16, 6), 6 * 27 + 6),
        ("c2", "Conv2D", (16, 16, 6), 6 * 54 + 6),
        ("c2:2", "Conv2D", (16, 16, 6), 0),
    ]
    assert [x.name for x in convnet.all_layers] == ["c1", "c2", "c2:2", "gap", "out"]
    assert sum(x.parameters for x in convnet.all_layers) == convnet.model.count_params()


def test_channels_first_shapes_are_told_channels_last():
    assert [x.shape for x in nets.open_net("channels_first").layers] == [
        (16, 20, 4),
        (8, 10, 4),
        (8, 10, 6),
    ]


# Options and their contradictions.


def test_one_label_for_each_class(photo):
    model = nets.functional()
    convnet = ConvNet(model, preprocess="unit", labels=["a", "b", "c"])
    best = int(convnet.scores(photo).argmax())
    assert convnet.top(photo)[0][:2] == (best, "abc"[best])
    for labels in (["a", "b"], []):
        with pytest.raises(InvalidArgumentError, match="one label for each of the 3 classes"):
            ConvNet(model, labels=labels)
    with pytest.raises(InvalidArgumentError, match="of the 2 classes"):
        ConvNet(nets.one_sigmoid(), labels=["dog"])
    assert ConvNet(nets.one_sigmoid(), labels=["cat", "dog"]).label(1) == "dog"


@pytest.mark.parametrize("index", [-1, 3, 0.5, "1", None])
def test_a_class_that_does_not_exist_is_refused(index, photo):
    convnet = nets.open_net("functional")
    with pytest.raises(InvalidArgumentError, match="class_index from 0 to 2"):
        convnet.class_index(index)
    if index is not None:
        with pytest.raises(InvalidArgumentError, match="class_index from 0 to 2"):
            vizlib.grad_cam(convnet, photo, class_index=index)


def test_class_index_takes_numpy_integers():
    assert nets.open_net("functional").class_index(np.int64(2)) == 2


def test_input_size_is_chosen_only_where_the_model_leaves_it_open():
    with pytest.raises(InvalidArgumentError, match=r"\(16, 16\)\. Received: \(20, 16\)"):
        ConvNet(nets.functional(), input_size=(20, 16))
    assert ConvNet(nets.functional(), input_size=(16, 16)).input_size == (16, 16)
    assert ConvNet(nets.any_size()).input_size == (224, 224)
    assert ConvNet(nets.any_size(), input_size=(10, 14)).input_size == (10, 14)
    assert ConvNet(nets.any_size(), input_size=12).input_size == (12, 12)
    half_open = nets.plain(None, 20, 3)
    assert ConvNet(half_open, input_size=(10, 20)).input_size == (10, 20)
    with pytest.raises(InvalidArgumentError, match="input_size"):
        ConvNet(half_open, input_size=(10, 10))


@pytest.mark.parametrize(("kind", "name"), [("two_inputs", "vector"), ("dict_inputs", "extra")])
def test_other_inputs_reach_the_network(kind, name, photo):
    model, values = nets.KINDS[kind](), np.array([1.0, 2.0, 3.0, 0.5], "float32")
    zeros, given = (
        ConvNet(model, preprocess="unit", other_inputs=v) for v in (None, {name: values})
    )
    change = values @ model.get_layer("out").get_weights()[0][6:]
    assert np.abs(change).max() > 0.3
    np.testing.assert_allclose(given.scores(photo) - zeros.scores(photo), change, atol=1e-5)
    for wrong in ("no such input", "image", "photo"):
        with pytest.raises(InvalidArgumentError, match=f"other than the photo: .*{name}.*{wrong}"):
            ConvNet(model, other_inputs={wrong: values})


@pytest.mark.parametrize("wrap", [lambda x: [x], lambda x: {"image": x}], ids=["list", "dict"])
def test_a_single_input_may_stand_in_a_list_or_dict(wrap, photo):
    twin = nets.functional()
    wrapped = keras.Model(wrap(twin.input), twin.output)
    scores = ConvNet(wrapped, preprocess="unit").scores(photo)
    np.testing.assert_allclose(scores, ConvNet(twin, preprocess="unit").scores(photo), atol=1e-6)


def test_the_output_is_chosen_by_index_and_by_name(photo):
    model = nets.two_outputs()
    batch = ConvNet(model, preprocess="unit").input_tensor(photo)[None]
    box = model(batch)[0][0].numpy()
    for output in (0, model.output_names[0]):
        convnet = ConvNet(model, preprocess="unit", output=output)
        np.testing.assert_allclose(convnet.scores(photo), box, atol=1e-6)
    for output in (1, model.output_names[1], None):
        convnet = ConvNet(model, preprocess="unit", output=output)
        np.testing.assert_allclose(convnet.predict(photo), model(batch)[1][0], atol=1e-6)
    for output in (2, -1, "no such output"):
        with pytest.raises(InvalidArgumentError, match="Expected output to be one of"):
            ConvNet(model, output=output)


@pytest.mark.parametrize("names", [("a_class", "b_box"), ("b_class", "a_box")])
def test_outputs_in_a_dict_are_chosen_by_their_names(names, photo):
    nets.seeded()
    image = nets.image_input()
    features = layers.GlobalAveragePooling2D()(nets.body(image))
    scores = layers.Dense(3, "softmax", name="one")(features)
    box = layers.Dense(4, name="other")(features)
    model = keras.Model(image, dict(zip(names, (scores, box), strict=True)))
    assert ConvNet(model).classes == 3
    by_name = {name: ConvNet(model, output=name).classes for name in model.output_names}
    assert sorted(by_name.values()) == [3, 4]
    assert by_name.get("one", by_name.get(names[0])) == 3


@pytest.mark.parametrize("size", [(-3, 5), (0, 5), 0, "64", (64,), (20.5, 20)], ids=str)
def test_an_input_size_that_is_none_is_refused(size):
    with pytest.raises(InvalidArgumentError, match="input_size"):
        ConvNet(nets.any_size(), input_size=size)


def test_an_other_input_of_the_wrong_shape_is_refused_by_its_name():
    with pytest.raises(InvalidArgumentError, match=r"vector.*\(4,\).*\(7,\)"):
        ConvNet(nets.two_inputs(), other_inputs={"vector": np.ones(7)})


# Images.


@pytest.mark.parametrize(
    ("image", "found"),
    [
        (np.zeros((8, 8, 3), "float32"), r"float32 \(8, 8, 3\)"),
        (np.zeros((8, 8), "uint8"), r"uint8 \(8, 8\)"),
        (np.zeros((8, 8, 4), "uint8"), r"uint8 \(8, 8, 4\)"),
        (np.zeros((8, 8, 1), "uint8"), r"uint8 \(8, 8, 1\)"),
        (np.zeros((1, 8, 8, 3), "uint8"), r"uint8 \(1, 8, 8, 3\)"),
        (np.zeros((0, 8, 3), "uint8"), r"uint8 \(0, 8, 3\)"),
        ([[[1, 2, 3]]], "list"),
        (None, "NoneType"),
    ],
    ids=["float", "grey", "rgba", "one", "batch", "empty", "list", "none"],
)
def test_what_is_no_image_is_refused_with_what_it_is(image, found):
    convnet = nets.open_net("functional")
    for ask in (convnet.predict, convnet.input_image, lambda x: vizlib.grad_cam(convnet, x)):
        with pytest.raises(InvalidArgumentError, match=f"Expected an RGB image.*{found}"):
            ask(image)


def test_the_whole_photo_is_squeezed_to_the_input_size():
    photo = np.zeros((32, 64, 3), "uint8")
    photo[:16, 32:] = 200
    photo[16:, :32] = [10, 20, 30]
    small = nets.open_net("functional").input_image(photo)
    expected = np.zeros((16, 16, 3), "uint8")
    expected[:8, 8:] = 200
    expected[8:, :8] = [10, 20, 30]
    np.testing.assert_array_equal(small, expected)


def test_views_with_other_strides_are_images_too(photo):
    convnet = nets.open_net("functional")
    for view in (photo[:, ::-1], photo[..., ::-1], photo.transpose(1, 0, 2), photo[::2, ::3]):
        np.testing.assert_array_equal(
            convnet.input_tensor(view), convnet.input_tensor(np.ascontiguousarray(view))
        )


def test_shrinking_averages_and_non_square_keeps_its_axes():
    photo = np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype="uint8")
    small = nets.open_net("non_square").input_image(photo)
    means = photo.reshape(12, 2, 20, 2, 3).mean(axis=(1, 3))
    assert np.abs(small - means).max() <= 0.5


def test_an_image_of_the_right_size_is_left_alone():
    photo = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype="uint8")
    np.testing.assert_array_equal(nets.open_net("non_square").input_image(photo), photo)


def test_grey_networks_see_luminance():
    photo = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype="uint8")
    grey = nets.open_net("grayscale").input_image(photo)
    assert grey.shape == (16, 16, 1)
    assert np.abs(grey[..., 0] - photo @ [0.299, 0.587, 0.114]).max() <= 0.51


@pytest.mark.parametrize("preprocess", ["raw", "unit", "tf", "torch", "caffe"])
def test_input_tensor_equals_keras_own_preprocessing(preprocess, photo):
    convnet = ConvNet(nets.functional(), preprocess=preprocess)
    before = photo.copy()
    small = cv2.resize(photo, (16, 16), interpolation=cv2.INTER_AREA).astype("float32")
    if preprocess in {"raw", "unit"}:
        expected = small if preprocess == "raw" else small / 255
    else:
        expected = keras.applications.imagenet_utils.preprocess_input(
            small.copy(), data_format="channels_last", mode=preprocess
        )
    for _ in range(2):
        tensor = convnet.input_tensor(photo)
        assert tensor.dtype == np.float32
        np.testing.assert_allclose(tensor, expected, rtol=1e-5, atol=2e-5)
    np.testing.assert_array_equal(photo, before)


def test_the_network_receives_the_input_tensor(photo):
    for preprocess in vizlib.PREPROCESSINGS:
        convnet = ConvNet(nets.functional(), preprocess=preprocess)
        expected = convnet.model(convnet.input_tensor(photo)[None])[0]
        np.testing.assert_allclose(convnet.predict(photo), expected, atol=1e-5)


@pytest.mark.parametrize("preprocess", ["torch", "caffe"])
def test_colour_conventions_are_refused_on_grey(preprocess):
    with pytest.raises(InvalidArgumentError, match='Use "raw", "unit" or "tf"'):
        ConvNet(nets.grayscale(), preprocess=preprocess)


def test_an_unknown_preprocessing_is_refused():
    with pytest.raises(InvalidArgumentError, match=r"raw, unit, tf, torch, caffe.*'imagenet'"):
        ConvNet(nets.functional(), preprocess="imagenet")


# Models that are none of ours.


def test_what_is_no_image_network_is_refused_with_what_it_is():
    vector = keras.Input((10,), name="numbers")
    with pytest.raises(UnsupportedModelError, match=r"image input.*numbers \(None, 10\)"):
        ConvNet(keras.Model(vector, layers.Dense(2)(vector)))
    image = nets.image_input()
    dense = layers.Dense(2, name="out")(layers.Flatten()(image))
    with pytest.raises(UnsupportedModelError, match=r"no layer gives 2-D maps.*Dense, Flatten"):
        ConvNet(keras.Model(image, dense))
    five = keras.Input((16, 16, 5), name="satellite")
    with pytest.raises(UnsupportedModelError, match=r"satellite \(None, 16, 16, 5\)"):
        ConvNet(keras.Model(five, nets.conv(2, "c1")(five)))
    for thing, kind in (("vgg16", "str"), (layers.Dense(1), "Dense"), (None, "NoneType")):
        with pytest.raises(UnsupportedModelError, match=f"built keras.Model. Received: {kind}"):
            ConvNet(thing)


@pytest.mark.parametrize("build", [nets.Subclassed, keras.Sequential])
def test_a_model_that_was_never_built_is_refused(build):
    with pytest.raises(UnsupportedModelError, match="Call it once on a batch of images"):
        ConvNet(build(name="young"))


def test_a_model_that_cannot_run_is_refused_with_its_own_reason():
    class Broken(layers.Layer):
        def call(self, x):
            if tf.executing_eagerly():
                raise RuntimeError("the disk is full")
            return x

    image = nets.image_input()
    with pytest.raises(UnsupportedModelError, match="the disk is full"):
        ConvNet(keras.Model(image, nets.head(Broken(name="broken")(nets.body(image)))))


# The layer that a heatmap uses by itself.

FAMILIES = [
    ("VGG16", 32, "block5_conv3"),
    ("MobileNet", 64, "conv_pw_13_relu"),
    ("EfficientNetB0", 64, "top_activation"),
    ("VGG19", 32, "block5_conv4"),
    ("ResNet50", 64, "conv5_block3_out"),
    ("InceptionV3", 128, "mixed10"),
    ("Xception", 72, "block14_sepconv2_act"),
    ("MobileNetV2", 64, "out_relu"),
    ("DenseNet121", 64, "relu"),
]


@pytest.mark.parametrize(("architecture", "side", "expected"), FAMILIES)
def test_default_layer_of_well_known_networks(architecture, side, expected):
    build = getattr(keras.applications, architecture)
    shape = (side, side, 3)
    model = build(weights=None, input_shape=shape, classes=10)
    convnet = ConvNet(model)
    assert convnet.classes == 10
    assert convnet.default_layer == expected
    height, width, _ = convnet.layer(expected).shape
    assert height > 1
    assert width > 1


def test_default_layer_skips_maps_of_one_place_and_maps_before_their_activation():
    nets.seeded()
    image = nets.image_input()
    x = nets.conv(6, "c1")(image)
    x = nets.conv(6, "c2", activation=None)(x)
    x = layers.ReLU(name="relu")(x)
    x = nets.conv(6, "late", activation=None)(x)
    x = layers.GlobalAveragePooling2D(keepdims=True, name="gap")(x)
    x = layers.Conv2D(5, 1, activation="relu", name="dense_as_conv")(x)
    x = layers.Dense(3, "softmax", name="out")(layers.Flatten(name="flat")(x))
    assert ConvNet(keras.Model(image, x)).default_layer == "relu"


def test_the_insides_of_attention_are_not_taken_for_maps():
    image = keras.layers.Input((8, 8, 3))
    rows = keras.layers.Reshape((16, 4))(
        keras.layers.Conv2D(4, 2, strides=2, name="patches")(image)
    )
    rows = keras.layers.MultiHeadAttention(2, 3)(rows, rows)
    outputs = keras.layers.Dense(2, "softmax")(keras.layers.GlobalAveragePooling1D()(rows))
    convnet = ConvNet(keras.Model(image, outputs))
    assert [layer.name for layer in convnet.layers] == ["patches"]
    assert convnet.default_layer == "patches"


def test_default_layer_feeds_the_scores():
    nets.seeded()
    image = nets.image_input()
    maps = nets.body(image)
    scores = nets.head(maps)
    side = nets.conv(3, "mask", activation="sigmoid")(maps)
    side = nets.conv(3, "mask2", activation="sigmoid")(side)
    convnet = ConvNet(keras.Model(image, [scores, side]))
    assert "mask2" in {layer.name for layer in convnet.layers}
    assert convnet.default_layer == "c2"


def test_what_is_compiled_may_compile_something_itself():
    convnet = ConvNet(nets.functional(), "unit")
    assert convnet.compiled("outer", lambda: convnet.compiled("inner", lambda: 3) + 1) == 4
    assert convnet.compiled("inner", lambda: 0) == 3
    assert convnet.uncompiled().compiled("inner", lambda: 0) == 0
