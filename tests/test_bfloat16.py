"""Filter pictures made with half as many bits: rounded where it is said, and nowhere else."""

from dataclasses import replace

import keras
import nets
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from vizlib import (
    FILTER_RECIPES,
    ConvNet,
    bfloat16,
    filter_atlas,
    filter_patterns,
    objectives,
    optimize,
)

KINDS = ["functional", "nested_in_sequential", "subclassed", "grayscale", "non_square"]
KINDS += ["batch_normalized", "mixed_precision", "shared_layer"]


@pytest.fixture(params=[True, False], ids=["bfloat16", "float32"])
def fast(request, monkeypatch):
    monkeypatch.setattr(bfloat16, "is_fast", lambda: request.param)
    return request.param


def claim(monkeypatch, fast):
    monkeypatch.setattr(bfloat16, "is_fast", lambda: fast)


def rounded(values):
    return tf.cast(tf.cast(values, tf.bfloat16), tf.float32).numpy()


def convolution(**options):
    layer = layers.Conv2D(2, 3, **options)
    layer.build((None, 6, 7, 3))
    rng = np.random.default_rng(0)
    layer.set_weights([rng.normal(size=w.shape).astype("f4") for w in layer.get_weights()])
    return layer


def never():
    raise AssertionError("computed with 32 bits")


def test_eight_bits_are_kept():
    one = convolution(use_bias=False)
    one.set_weights(
        [
            np.eye(3, 2)[None, None]
            * np.eye(3)[1][:, None, None, None]
            * np.eye(3)[1][None, :, None, None]
        ]
    )
    maps = np.full((1, 6, 7, 3), 1 + 2.0**-9, "f4")
    assert (bfloat16.run_rounded(one, tf.constant(maps), never).numpy() == 1).all()
    maps = np.full((1, 6, 7, 3), 1 + 2.0**-7, "f4")
    assert (bfloat16.run_rounded(one, tf.constant(maps), never).numpy() == 1 + 2.0**-7).all()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"padding": "same", "strides": 2, "activation": "relu"},
        {"use_bias": False, "activation": "tanh"},
        {"dilation_rate": 2, "activation": "softmax"},
    ],
    ids=["plain", "strided", "without-bias", "dilated"],
)
def test_a_convolution_differs_from_the_exact_one_by_rounding_only(options):
    layer = convolution(**options)
    maps = np.random.default_rng(1).normal(size=(2, 6, 7, 3)).astype("f4")
    found = bfloat16.run_rounded(layer, tf.constant(maps), never)
    assert found.dtype == tf.float32
    exact = layer(maps).numpy()
    assert found.shape == exact.shape
    assert not np.array_equal(found, exact)
    # 2^-8 of the sum of the 27 products' sizes bounds what rounding either factor does.
    bound = 2.0**-7 * (np.abs(maps).max() * np.abs(layer.kernel.numpy()).sum((0, 1, 2)).max() + 3)
    np.testing.assert_allclose(found, exact, atol=bound)


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_pooling_rounds_and_takes_the_largest(padding):
    layer = layers.MaxPooling2D((3, 2), strides=(1, 2), padding=padding)
    maps = np.random.default_rng(1).normal(size=(2, 6, 7, 3)).astype("f4")
    found = bfloat16.run_rounded(layer, tf.constant(maps), never)
    np.testing.assert_array_equal(found, layer(rounded(maps)))


class Doubling(layers.Conv2D):
    """A layer of a user's own: what it computes is not ours to know."""

    def call(self, inputs):
        return 2 * super().call(inputs)


@pytest.mark.parametrize(
    "layer",
    [
        layers.Dense(2),
        layers.AveragePooling2D(2),
        Doubling(2, 1),
        layers.Conv2D(2, 1, dtype="mixed_float16"),
        layers.Conv2D(2, 1, dtype="float64"),
    ],
    ids=lambda layer: layer.name,
)
def test_other_layers_run_as_they_are(layer):
    assert bfloat16.run_rounded(layer, tf.zeros((1, 4, 4, 3)), lambda: "as it is") == "as it is"


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_answer_as_much_whether_rounded_or_not(kind, monkeypatch):
    pictures = {}
    for fast in (True, False):
        claim(monkeypatch, fast)
        convnet = nets.open_net(kind)
        layer = convnet.layers[1].name
        pictures[fast] = filter_patterns(convnet, layer, [0, 1], steps=12)
    quick, exact = pictures[True], pictures[False]
    assert quick.diagnosis == exact.diagnosis
    np.testing.assert_allclose(quick.objective, exact.objective, rtol=0.05, atol=0.02)


def test_rounding_happens_where_it_is_fast_and_not_in_the_exact_recipe(monkeypatch):
    made = {}
    for fast in (True, False):
        claim(monkeypatch, fast)
        for recipe in ("fourier", "classic"):
            convnet = nets.open_net("functional")
            made[recipe, fast] = filter_patterns(convnet, "c2", [0, 1], recipe=recipe, steps=6)
    assert (made["classic", True].objective == made["classic", False].objective).all()
    assert (made["fourier", True].objective != made["fourier", False].objective).any()


def test_a_recipe_can_be_made_exact(monkeypatch):
    monkeypatch.setitem(FILTER_RECIPES, "exact", replace(FILTER_RECIPES["fourier"], exact=True))
    claim(monkeypatch, True)
    exact = filter_patterns(nets.open_net("functional"), "c2", [0, 1], recipe="exact", steps=6)
    claim(monkeypatch, False)
    plain = filter_patterns(nets.open_net("functional"), "c2", [0, 1], steps=6)
    np.testing.assert_array_equal(exact.images, plain.images)
    np.testing.assert_array_equal(exact.objective, plain.objective)


def test_a_class_is_made_so_too(monkeypatch):
    traces = []
    for fast in (True, False):
        claim(monkeypatch, fast)
        traces.append(
            optimize(nets.open_net("functional"), [objectives.class_logit(1)], steps=6).objective
        )
    assert (traces[0] != traces[1]).any()
    np.testing.assert_allclose(*traces, rtol=0.05, atol=0.02)


def test_both_kinds_of_step_are_kept_apart_in_one_network(monkeypatch):
    convnet = nets.open_net("functional")
    traces = []
    for fast in (True, False, True):
        claim(monkeypatch, fast)
        traces.append(filter_patterns(convnet, "c2", [0], steps=6).objective)
    assert (traces[0] != traces[1]).any()
    np.testing.assert_array_equal(traces[0], traces[2])


def test_the_same_seed_gives_the_same_bytes(fast):
    one, other = (filter_patterns(nets.open_net("functional"), "c2", [0]) for _ in range(2))
    assert one.images.tobytes() == other.images.tobytes()


def test_the_network_answers_as_before_while_and_after(monkeypatch):
    claim(monkeypatch, True)
    convnet = nets.open_net("functional")
    photo = np.random.default_rng(0).integers(0, 256, (*convnet.input_size, 3), dtype="uint8")
    before, weights = convnet.scores(photo), [w.numpy() for w in convnet.model.weights]
    during = []
    filter_patterns(
        convnet, "c2", [0], steps=2, progress=lambda *_: during.append(convnet.scores(photo))
    )
    for answer in (*during, convnet.scores(photo)):
        np.testing.assert_array_equal(answer, before)
    for weight, was in zip(convnet.model.weights, weights, strict=True):
        np.testing.assert_array_equal(weight.numpy(), was)


def test_atlases_of_both_kinds_lie_apart(monkeypatch, tmp_path):
    convnet, folders = nets.open_net("functional"), set()
    for fast in (True, False):
        claim(monkeypatch, fast)
        for recipe in ("fourier", "classic"):
            folders.add(filter_atlas(convnet, "c2", recipe=recipe, folder=tmp_path).folder)
    assert len(folders) == 3


@pytest.mark.parametrize(
    ("told", "expected"),
    [("flags\t\t: fpu avx512_bf16 sse", True), ("flags : amx_bf16", True), ("flags : avx2", False)],
)
def test_what_the_system_tells_of_the_processor_decides(monkeypatch, told, expected):
    monkeypatch.setattr(bfloat16.Path, "read_text", lambda *_: told)
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    assert bfloat16.is_fast.__wrapped__() is expected
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    assert bfloat16.is_fast.__wrapped__() is False


def test_where_the_system_tells_nothing_nothing_is_rounded(monkeypatch):
    def missing(*_):
        raise FileNotFoundError

    monkeypatch.setattr(bfloat16.Path, "read_text", missing)
    assert bfloat16.is_fast.__wrapped__() is False


def test_a_head_of_maps_keeps_its_logits(monkeypatch):
    image = keras.Input((12, 12, 3))
    maps = layers.Conv2D(4, 3, activation="relu", name="c1")(image)
    scores = layers.GlobalAveragePooling2D()(layers.Conv2D(3, 1, name="c2")(maps))
    convnet = ConvNet(keras.Model(image, layers.Softmax()(scores)), preprocess="unit")
    claim(monkeypatch, True)
    made = optimize(convnet, [objectives.class_logit(2)], steps=3)
    assert np.isfinite(made.objective).all()
    assert len(set(made.objective[0])) == 3
