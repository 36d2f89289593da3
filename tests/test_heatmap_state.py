"""Heatmaps take the network as they find it: in batches, cancelled, in threads, again and again."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import nets
import numpy as np
import pytest
import tensorflow as tf
from heatmap_asks import LOOPING, METHODS, ask
from keras import layers
from test_state import MEBIBYTE, assert_nothing_borrowed, fingerprint, fragile_net, resident

import vizlib
from vizlib import ConvNet, InvalidArgumentError

ROOT = Path(__file__).parent.parent

# Batches.


def test_a_batch_gives_what_single_photos_give(photo):
    for kind in ("functional", "two_inputs", "channels_first", "subclassed_raw_softmax"):
        convnet = nets.open_net(kind)
        tensor = convnet.input_tensor(photo)
        stack = np.stack([tensor, tensor[::-1], 0.5 * tensor, 0 * tensor, tensor**2])
        scores = convnet.tensor_scores(stack)
        gradients = convnet.tensor_gradients(stack, 1)
        guided = convnet.tensor_gradients(stack, 1, guided=True)
        assert scores.shape == (5, 3)
        assert gradients.shape == guided.shape == stack.shape
        np.testing.assert_allclose(scores[0], convnet.scores(photo), atol=1e-5)
        assert np.abs(scores[0] - scores[1]).max() > 1e-4
        for i in range(5):
            one = stack[i : i + 1]
            np.testing.assert_allclose(convnet.tensor_scores(one)[0], scores[i], atol=1e-5)
            alone = convnet.tensor_gradients(one, 1)[0]
            np.testing.assert_allclose(alone, gradients[i], rtol=1e-3, atol=1e-6)
            alone = convnet.tensor_gradients(one, 1, guided=True)[0]
            np.testing.assert_allclose(alone, guided[i], rtol=1e-3, atol=1e-6)


def test_gradients_of_scores_are_those_of_a_plain_tape(photo):
    convnet = nets.open_net("linear_head")
    tensor = convnet.input_tensor(photo)
    for index in range(3):
        batch = tf.constant(tensor[None])
        with tf.GradientTape() as tape:
            tape.watch(batch)
            score = convnet.model(batch)[0, index]
        expected = tape.gradient(score, batch)
        found = convnet.tensor_gradients(tensor[None], index)
        np.testing.assert_allclose(found, expected, atol=1e-7)
    assert np.abs(expected).max() > 1e-5
    with pytest.raises(InvalidArgumentError, match="class_index"):
        convnet.tensor_gradients(tensor[None], 3)


@pytest.mark.parametrize("method", LOOPING)
def test_the_size_of_batches_does_not_matter(method, photo):
    found = []
    for size in (1, 3, 32):
        convnet = nets.open_net("functional")
        vars(convnet)["batch_size"] = size
        found.append(ask(method, convnet, photo, class_index=1).values)
    np.testing.assert_allclose(found[0], found[1], rtol=1e-3, atol=2e-6)
    np.testing.assert_allclose(found[0], found[2], rtol=1e-3, atol=2e-6)


@pytest.mark.parametrize("kind", ["functional", "subclassed_raw_softmax"])
def test_long_questions_are_traced_once(kind, photo):
    """Asked again, of another photo, class or number, no Python of the network is run."""
    runs = []

    class Noted(layers.Layer):
        def call(self, x):
            if not tf.executing_eagerly():
                runs.append(x)
            return x

    nets.seeded()
    image = nets.image_input()
    x = nets.head(nets.conv(4, "c2")(Noted()(image)), activation=tf.nn.softmax)
    convnet = ConvNet(keras.Model(image, x), preprocess="unit")

    def ask_all(photo, index, **options):
        for method in LOOPING:
            ask(method, convnet, photo, class_index=index)
        vizlib.rise(convnet, photo, class_index=index, **options)

    ask_all(photo, 0, samples=40)
    assert runs
    runs.clear()
    ask_all(photo[::-1], 1, samples=33)
    assert runs == []


# Progress.


@pytest.mark.parametrize("method", LOOPING)
def test_progress_grows_to_its_total(method, photo):
    convnet = nets.open_net("functional")
    vars(convnet)["batch_size"] = 3
    told = []
    quiet = ask(method, convnet, photo).values
    found = ask(method, convnet, photo, progress=lambda *p: told.append(p)).values
    np.testing.assert_array_equal(found, quiet)
    done = [d for d, _ in told]
    total = told[0][1]
    assert done == sorted(set(done))
    assert [t for _, t in told] == [total] * len(told)
    assert 0 < done[0] < done[-1] == total


@pytest.mark.parametrize("method", LOOPING)
@pytest.mark.parametrize("kind", ["nested", "subclassed_raw_softmax"])
def test_cancelling_stops_at_once_and_leaves_the_model_as_it_was(kind, method, photo):
    model = nets.KINDS[kind]()
    convnet = ConvNet(model, preprocess="unit")
    vars(convnet)["batch_size"] = 2
    before = fingerprint(model)
    told = []

    def stop(done, _total):
        assert_nothing_borrowed(model)
        told.append(done)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask(method, convnet, photo, progress=stop)
    assert told == [2]
    assert fingerprint(model) == before
    assert_nothing_borrowed(model)


@pytest.mark.parametrize("method", LOOPING)
def test_progress_is_told_outside_any_lock(method, photo):
    """Another thread can use the network for as long as a progress callback takes."""
    convnet = nets.open_net("nested")
    vars(convnet)["batch_size"] = 8
    answers = []
    with ThreadPoolExecutor(1) as pool:

        def progress(_done, _total):
            answers.append(pool.submit(vizlib.grad_cam, convnet, photo).result(60))
            answers.append(pool.submit(vizlib.ablation_cam, convnet, photo).result(60))

        ask(method, convnet, photo, progress=progress)
    assert answers


# State.


@pytest.mark.parametrize(
    "kind", ["nested", "subclassed_raw_softmax", "shared_layer", "batch_normalized"]
)
def test_no_method_changes_the_model_or_the_photo(kind, photo):
    model = nets.KINDS[kind]()
    convnet = ConvNet(model, preprocess="unit")
    before, copy = fingerprint(model), photo.copy()
    for method in METHODS:
        first = ask(method, convnet, photo)
        assert fingerprint(model) == before, method
        kept = first.values.copy()
        first.values[...] = 7
        again = ask(method, convnet, photo).values
        np.testing.assert_allclose(again, kept, rtol=1e-6, atol=1e-9, err_msg=method)
    np.testing.assert_array_equal(photo, copy)
    assert_nothing_borrowed(model)


@pytest.mark.parametrize("method", METHODS)
def test_an_error_inside_a_layer_leaves_the_model_as_it_was(method, photo):
    model = fragile_net()
    convnet = ConvNet(model, preprocess="unit")
    fragile = nets.inner(model, "fragile")
    assert convnet.default_layer
    before = fingerprint(model)
    object.__setattr__(fragile, "broken", True)
    with pytest.raises(Exception, match="the layer broke"):
        ask(method, convnet, photo)
    assert_nothing_borrowed(model)
    object.__delattr__(fragile, "broken")
    assert fingerprint(model) == before
    ask(method, convnet, photo)


@pytest.mark.parametrize("kind", ["nested", "subclassed_raw_softmax"])
def test_eight_threads_get_what_one_gets(kind, photo):
    photos = [np.roll(photo, 5 * i, axis=1) for i in range(8)]
    model = nets.KINDS[kind]()
    before = fingerprint(model)
    convnet, twin = ConvNet(model, preprocess="unit"), nets.open_net(kind)

    def every_map(asked, p):
        return [ask(method, asked, p, class_index=1).values for method in METHODS]

    expected = [every_map(twin, p) for p in photos]
    together = threading.Barrier(8)

    def work(p):
        together.wait(timeout=60)
        return every_map(convnet, p)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(work, photos))
    for found, wanted in zip(answers, expected, strict=True):
        for method, mine, theirs in zip(METHODS, found, wanted, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-5, err_msg=method)
    assert fingerprint(model) == before
    assert_nothing_borrowed(model)


def test_the_settings_of_keras_and_numpy_are_left_alone(photo):
    def world():
        _, keys, position, *_ = np.random.get_state()  # noqa: NPY002
        generator = tf.random.get_global_generator().state.numpy().tobytes()
        return keras.config.dtype_policy().name, keys.tobytes(), position, generator

    convnet = nets.open_net("augmented")
    before = world()
    for method in METHODS:
        ask(method, convnet, photo)
    assert world() == before


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux' /proc")
def test_asking_again_and_again_does_not_pile_up(photo):
    """Kept, the maps of each batch would be 10 MB, of which there are 60 and more."""
    convnet = ConvNet(nets.any_size(), preprocess="unit", input_size=112)
    maps = 4 * sum(np.prod(layer.shape) for layer in convnet.all_layers)
    assert convnet.batch_size * maps > 9 * MEBIBYTE

    def ask_all(rounds):
        for _ in range(rounds):
            for method in METHODS:
                options = {"patch": 56} if method == "Occlusion" else {}
                ask(method, convnet, photo, **options)

    ask_all(3)
    before = resident()
    ask_all(6)
    assert resident() - before < 60


MOST_MEMORY = """
import resource, numpy as np, keras, vizlib
from keras import layers

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

keras.utils.set_random_seed(0)
image = x = keras.Input((224, 224, 3))
for filters in (32, 64, 128, 512):
    x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
    x = layers.MaxPooling2D(name=f"pool{filters}")(x)
x = layers.Dense(10)(layers.GlobalAveragePooling2D()(x))
convnet = vizlib.ConvNet(keras.Model(image, x), preprocess="unit")
photo = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype="uint8")
vizlib.grad_cam(convnet, photo)
for method in ("Score-CAM", "Ablation-CAM", "SmoothGrad", "Integrated Gradients"):
    before = peak()
    vizlib.HEATMAP_METHODS[method](convnet, photo, layer="pool512")
    print(method, int(peak() - before), sep=":")
"""


@pytest.mark.slow
def test_five_hundred_channels_take_less_than_a_gigabyte():
    """In a process of its own, whose peak nobody else has raised."""
    command = [sys.executable, "-c", MOST_MEMORY]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    taken = dict(line.split(":") for line in answer.stdout.splitlines() if ":" in line)
    assert len(taken) == 4
    assert all(int(megabytes) < 1000 for megabytes in taken.values()), taken
