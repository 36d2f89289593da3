"""A network is lent, never changed: not by success, errors, cancelling, or threads."""

import gc
import hashlib
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import nets
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from tensorflow.python.framework.func_graph import FuncGraph

import vizlib
from vizlib import ConvNet
from vizlib.watching import operations_by_path, watching

MEBIBYTE = 2**20


def fingerprint(model):
    """All that a caller could notice: weights, attributes of every layer, and what it answers."""
    weights = hashlib.sha256()
    for weight in model.weights:
        weights.update(np.ascontiguousarray(weight).tobytes())
    members = [model, *operations_by_path(model)]
    attributes = [(m.name, type(m).__name__, sorted(vars(m)), vars(m).get("call")) for m in members]
    trainable = [getattr(m, "trainable", None) for m in members]
    batch = np.random.default_rng(0).uniform(0, 1, (1, nets.SIDE, nets.SIDE, 3)).astype("float32")
    return weights.hexdigest(), attributes, trainable, np.asarray(model(batch)).tobytes()


def assert_nothing_borrowed(model):
    for member in [model, *operations_by_path(model)]:
        assert "call" not in vars(member)
        assert "_assert_input_compatibility" not in vars(member)


def every_question(convnet, photo):
    """Answers of all kinds, as arrays."""
    last = convnet.layers[-1].name
    patterns = vizlib.filter_patterns(convnet, last, [0, 1], steps=2, size=20)
    return [
        convnet.scores(photo),
        convnet.predict(photo),
        vizlib.grad_cam(convnet, photo).values,
        vizlib.grad_cam(convnet, photo, layer=convnet.layers[0].name, class_index=1).values,
        *vizlib.activations(convnet, photo).values(),
        *(one.map for one in vizlib.strongest_channels(convnet, photo).values()),
        np.frombuffer(repr(convnet.graph.edges).encode(), "uint8").astype("int64"),
        patterns.images,
        patterns.objective,
    ]


KINDS = ["functional", "nested", "nested_in_sequential", "subclassed", "subclassed_raw_softmax"]


@pytest.mark.parametrize("kind", [*KINDS, "shared_layer", "batch_normalized", "doubly_nested"])
def test_answering_leaves_the_model_as_it_was(kind, photo):
    model = nets.KINDS[kind]()
    before = fingerprint(model)
    every_question(ConvNet(model, preprocess="unit"), photo)
    assert fingerprint(model) == before
    assert_nothing_borrowed(model)


@keras.saving.register_keras_serializable("tests")
class Fragile(layers.Layer):
    """Hands its input on until it is told to break."""

    broken = False

    def call(self, x):
        if self.broken:
            raise OSError("the layer broke")
        return x


def fragile_net():
    nets.seeded()
    image = nets.image_input()
    backbone_image = keras.Input((nets.SIDE, nets.SIDE, 3))
    x = Fragile(name="fragile")(nets.conv(4, "c1")(backbone_image))
    backbone = keras.Model(backbone_image, nets.conv(4, "c2")(x), name="backbone")
    return keras.Model(image, nets.head(backbone(image)))


@pytest.mark.parametrize(
    "ask",
    [
        lambda c, p: c.scores(p),
        lambda c, p: vizlib.activations(c, p),
        lambda c, p: vizlib.strongest_channels(c, p),
        lambda c, p: vizlib.grad_cam(c, p, layer="c1"),
        lambda c, p: vizlib.filter_patterns(c, "c2", [0], steps=2, size=20),
    ],
    ids=["scores", "activations", "strongest_channels", "grad_cam", "filter_patterns"],
)
def test_an_error_inside_a_layer_leaves_the_model_as_it_was(ask, photo):
    model = fragile_net()
    convnet = ConvNet(model, preprocess="unit")
    fragile = nets.inner(model, "fragile")
    before = fingerprint(model)
    object.__setattr__(fragile, "broken", True)
    with pytest.raises(Exception, match="the layer broke"):
        ask(convnet, photo)
    assert_nothing_borrowed(model)
    object.__delattr__(fragile, "broken")
    assert fingerprint(model) == before
    ask(convnet, photo)


def test_cancelling_leaves_the_model_as_it_was():
    model = nets.nested()
    convnet = ConvNet(model, preprocess="unit")
    before = fingerprint(model)

    def stop(_done, _total):
        assert_nothing_borrowed(model)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        vizlib.filter_patterns(convnet, "c2", [0], steps=3, size=20, progress=stop)
    assert fingerprint(model) == before
    assert_nothing_borrowed(model)


def test_failing_to_open_leaves_the_model_as_it_was():
    model = fragile_net()
    before = fingerprint(model)
    object.__setattr__(nets.inner(model, "fragile"), "broken", True)
    with pytest.raises(vizlib.UnsupportedModelError):
        ConvNet(model)
    object.__delattr__(nets.inner(model, "fragile"), "broken")
    assert fingerprint(model) == before


def test_a_fixed_input_size_is_still_enforced_afterwards(photo):
    model = nets.nested()
    convnet = ConvNet(model, preprocess="unit")
    vizlib.filter_patterns(convnet, "c2", [0], steps=1, size=24)
    for member in (model, nets.inner(model, "backbone")):
        with pytest.raises(ValueError, match=r"incompatible|expected shape"):
            member(np.zeros((1, 24, 24, 3), "float32"))


def test_a_layer_with_a_call_of_its_own_keeps_and_uses_it(photo):
    model = nets.functional()
    layer = model.get_layer("c2")
    plain = ConvNet(model, preprocess="unit").scores(photo)
    original = layer.call

    def doubled(inputs):
        return 2 * original(inputs)

    object.__setattr__(layer, "call", doubled)
    convnet = ConvNet(model, preprocess="unit")
    bias = model.get_layer("out").get_weights()[1]
    np.testing.assert_allclose(convnet.scores(photo) - bias, 2 * (plain - bias), atol=1e-5)
    reference = nets.np_maps("functional", model, convnet.input_tensor(photo))
    maps = vizlib.activations(convnet, photo, ["c2"])["c2"]
    np.testing.assert_allclose(maps, 2 * reference["c2"], atol=1e-5)
    vizlib.grad_cam(convnet, photo)
    assert vars(layer)["call"] is doubled


# Threads.


@pytest.mark.parametrize("kind", ["nested", "subclassed_raw_softmax", "shared_layer"])
def test_eight_threads_get_what_one_gets(kind, photo):
    photos = [np.roll(photo, 5 * i, axis=1) for i in range(8)]
    model = nets.KINDS[kind]()
    before = fingerprint(model)
    convnet = ConvNet(model, preprocess="unit")
    twin = ConvNet(nets.KINDS[kind](), preprocess="unit")
    expected = [every_question(twin, p) for p in photos]
    together = threading.Barrier(8)

    def work(p):
        together.wait(timeout=60)
        return [every_question(convnet, p) for _ in range(2)]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(work, photos))
    for rounds, wanted in zip(answers, expected, strict=True):
        for found in rounds:
            for mine, theirs in zip(found, wanted, strict=True):
                limit = 1 if theirs.dtype == np.uint8 else 1e-5
                np.testing.assert_allclose(mine.astype(float), theirs, rtol=0, atol=limit)
    assert np.abs(expected[0][2] - expected[1][2]).max() > 1e-4
    assert fingerprint(model) == before
    assert_nothing_borrowed(model)


def test_two_networks_that_share_a_backbone_in_two_threads(photo):
    nets.seeded()
    backbone = nets.backbone()
    models = []
    for seed in (1, 2):
        nets.seeded(seed)
        image = nets.image_input()
        models.append(keras.Model(image, nets.head(backbone(image))))
    convnets = [ConvNet(model, preprocess="unit") for model in models]
    expected = [every_question(convnet, photo) for convnet in convnets]
    assert np.abs(expected[0][0] - expected[1][0]).max() > 0.01
    before = [fingerprint(model) for model in models]
    together = threading.Barrier(2)

    def work(convnet):
        together.wait(timeout=60)
        return [every_question(convnet, photo) for _ in range(10)]

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(work, convnets))
    for rounds, wanted in zip(answers, expected, strict=True):
        for found in rounds:
            for mine, theirs in zip(found, wanted, strict=True):
                np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-5)
    assert [fingerprint(model) for model in models] == before


def test_calls_by_another_thread_are_not_recorded():
    model = nets.nested()
    batch = np.ones((1, nets.SIDE, nets.SIDE, 3), "float32")
    expected = model(batch).numpy()
    seen, inside, done = [], threading.Event(), threading.Event()

    def foreign():
        inside.wait(60)
        try:
            return model(2 * batch).numpy()
        finally:
            done.set()

    def handler(name, operation, inputs, run):
        seen.append((name, threading.get_ident()))
        if name == "backbone/pool":  # in the middle, let the other thread run the same model
            inside.set()
            assert done.wait(60)
        return run()

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(foreign)
        with watching(model, operations_by_path(model), handler):
            output = model(batch).numpy()
        result = other.result(60)
    np.testing.assert_array_equal(output, expected)
    np.testing.assert_array_equal(result, model(2 * batch).numpy())
    assert np.abs(result - output).max() > 1e-4
    assert {thread for _, thread in seen} == {threading.get_ident()}
    assert sorted(name for name, _ in seen) == sorted(
        ["backbone", "backbone/c1", "backbone/pool", "backbone/c2", "gap", "out"]
    )


def test_progress_is_told_outside_any_lock(photo):
    """Another thread can use the network for as long as a progress callback takes."""
    convnet = nets.open_net("nested")
    answers = []

    with ThreadPoolExecutor(1) as pool:

        def progress(_done, _total):
            answers.append(pool.submit(vizlib.grad_cam, convnet, photo).result(30))

        vizlib.filter_patterns(convnet, "c2", [0], steps=2, progress=progress)
    assert len(answers) == 2


# The world around.


def test_the_settings_of_keras_and_numpy_are_left_alone(photo):
    def world():
        _, keys, position, *_ = np.random.get_state()  # noqa: NPY002
        return (
            keras.config.floatx(),
            keras.config.image_data_format(),
            keras.config.dtype_policy().name,
            keras.config.epsilon(),
            keys.tobytes(),
            position,
            tf.executing_eagerly(),
            tf.random.get_global_generator().state.numpy().tobytes(),
        )

    models = [nets.KINDS[kind]() for kind in ("functional", "mixed_precision", "channels_first")]
    before = world()
    for model in models:
        every_question(ConvNet(model, preprocess="unit"), photo)
    assert world() == before


def test_the_photo_and_the_answers_belong_to_the_caller(photo):
    convnet = nets.open_net("functional")
    copy = photo.copy()
    first = every_question(convnet, photo)
    np.testing.assert_array_equal(photo, copy)
    kept = [x.copy() for x in first]
    for answer in first:
        if answer.flags.writeable:
            answer[...] = 0
    for mine, theirs in zip(every_question(convnet, photo), kept, strict=True):
        np.testing.assert_array_equal(mine, theirs)


# Memory.


def resident():
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / MEBIBYTE


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux' /proc")
@pytest.mark.parametrize("kind", ["any_size", "subclassed_raw_softmax"])
def test_two_hundred_heatmaps_do_not_pile_up(kind, photo):
    """Two hundred times the maps of the first would be 50 MB."""
    size = (128, 128) if kind == "any_size" else None
    convnet = ConvNet(nets.KINDS[kind](), preprocess="unit", input_size=size)
    for _ in range(30):
        vizlib.grad_cam(convnet, photo, layer="c1")
    before = resident()
    for _ in range(200):
        vizlib.grad_cam(convnet, photo, layer="c1")
    assert resident() - before < 20


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux' /proc")
def test_two_hundred_activations_do_not_pile_up(photo):
    convnet = ConvNet(nets.any_size(), preprocess="unit", input_size=(96, 96))
    for _ in range(30):
        found = vizlib.activations(convnet, photo)
    assert sum(maps.nbytes for maps in found.values()) * 200 > 40 * MEBIBYTE
    before = resident()
    for _ in range(200):
        vizlib.activations(convnet, photo)
    assert resident() - before < 20


def graphs():
    gc.collect()
    return sum(isinstance(one, FuncGraph) for one in gc.get_objects())


@pytest.mark.parametrize("recipe", ["classic", "fourier", "maco"])
def test_graphs_that_are_dropped_are_freed(recipe, photo):
    """TensorFlow itself keeps those in which a gradient of one's own was told."""
    convnet = nets.open_net("functional")
    before = graphs()
    vizlib.filter_patterns(convnet, "c1", [0], recipe=recipe, steps=2, size=20)
    convnet.scores(photo)
    assert graphs() > before
    for number in range(16):
        convnet.compiled(("test", number), object)
    assert graphs() == before


def test_each_question_is_traced_once(photo):
    """Where a graph is needed, asking again, of another photo or channel, runs no Python."""
    runs = []

    class Counted(nets.SubclassedRaw):
        def call(self, x):
            runs.append(x)
            return super().call(x)

    nets.seeded()
    model = Counted()
    model(np.zeros((1, nets.SIDE, nets.SIDE, 3), "float32"))
    convnet = ConvNet(model, preprocess="unit")

    def ask(photo, channels):
        vizlib.filter_patterns(convnet, "c1", channels, steps=3)
        return vizlib.grad_cam(convnet, photo, class_index=channels[0]), convnet.scores(photo)

    first, first_scores = ask(photo, [0, 1])
    runs.clear()
    second, second_scores = ask(photo[::-1], [2, 3])
    assert runs == []
    assert np.abs(second.values - first.values[::-1]).max() > 1e-4
    assert np.abs(second_scores - first_scores).max() > 1e-4


@pytest.mark.parametrize("kind", ["nested", "subclassed_raw_softmax"])
def test_a_network_no_longer_used_is_freed(kind, photo):
    model = nets.KINDS[kind]()
    convnet = ConvNet(model, preprocess="unit")
    every_question(convnet, photo)
    alive = weakref.ref(model), weakref.ref(convnet)
    del model, convnet
    gc.collect()
    assert [reference() for reference in alive] == [None, None]


def test_what_was_compiled_is_kept_in_bounds():
    """The least recently used is dropped, and built again when asked for."""
    convnet = nets.open_net("functional")
    built = []
    for number in range(40):
        convnet.compiled(("test", number), lambda: built.append(0) or object())
    convnet.compiled(("test", 39), lambda: built.append(0))
    assert len(built) == 40
    convnet.compiled(("test", 0), lambda: built.append(0))
    assert len(built) == 41
