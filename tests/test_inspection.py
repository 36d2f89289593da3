"""Which preprocessing a network was trained with, for networks of which it is known."""

from pathlib import Path

import keras
import nets
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import vizlib
from vizlib import PREPROCESSINGS, ConvNet, inspect_preprocessing
from vizlib.inspection import (
    StoredStatistics,
    _operation,
    divergence,
    photo_like_noise,
    recognise,
    recommended_preprocessing,
)
from vizlib.layers import LayerInfo

SAMPLES = Path(__file__).parent.parent / "sample_images"
SIDE = 64


@pytest.fixture(scope="module")
def photos() -> list[np.ndarray]:
    return [vizlib.load_image(path) for path in sorted(SAMPLES.glob("*.jpg"))]


@pytest.fixture(scope="module")
def parrot() -> np.ndarray:
    return vizlib.load_image(SAMPLES / "parrot.jpg")


def classifier(*front: keras.Layer, channels: int = 3, **options: object) -> keras.Model:
    """A small network, with layers in front of its first convolution."""
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            keras.Input((SIDE, SIDE, channels)),
            *front,
            layers.Conv2D(16, 3, name="first", **options),
            layers.ReLU(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax"),
        ]
    )


def normalised(channels: int = 3) -> keras.Model:
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            keras.Input((SIDE, SIDE, channels)),
            layers.Conv2D(16, 3),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax"),
        ]
    )


def normalised_input() -> keras.Model:
    return classifier(layers.BatchNormalization(name="norm"))


def trained(model: keras.Model, preprocess: str, photos: list[np.ndarray]) -> keras.Model:
    """Give the first batch normalisation the statistics that training with photos would."""
    convnet = ConvNet(model, preprocess=preprocess)
    path = next(x.name for x in convnet.all_layers if x.kind == "BatchNormalization")
    seen = [
        np.asarray(
            convnet.layer_output(
                convnet.input_tensor(photo)[None], path, compute=lambda _op, inputs, _run: inputs
            )
        )
        for photo in photos
    ]
    pixels = np.concatenate([maps.reshape(-1, maps.shape[-1]) for maps in seen])
    norm = _operation(convnet, path)
    norm.moving_mean.assign(pixels.mean(axis=0))
    norm.moving_variance.assign(pixels.var(axis=0))
    return model


def as_caffe() -> keras.Model:
    inputs = keras.Input((SIDE, SIDE, 3))
    x = inputs[..., ::-1] - np.array([103.939, 116.779, 123.68], "float32")
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3, activation="relu")(x))
    return keras.Model(inputs, layers.Dense(2, activation="softmax")(x))


def nested(base: keras.Model) -> keras.Model:
    return keras.Sequential(
        [
            keras.Input(base.input_shape[1:]),
            base,
            layers.GlobalAveragePooling2D(),
            layers.Dense(2, activation="softmax"),
        ]
    )


def application(name: str, **options: object) -> keras.Model:
    build = getattr(keras.applications, name)
    return build(weights=None, include_top=False, input_shape=(SIDE, SIDE, 3), **options)


#: Networks, what they were trained with, and whether they themselves show it.
KNOWN = {
    "rescaling-to-unit": (lambda p: classifier(layers.Rescaling(1 / 255)), "raw", True),
    "rescaling-to-tf": (lambda p: classifier(layers.Rescaling(1 / 127.5, -1)), "raw", True),
    "augmented-then-rescaled": (
        lambda p: classifier(
            layers.RandomFlip(), layers.Resizing(48, 48), layers.Rescaling(1 / 255)
        ),
        "raw",
        True,
    ),
    "normalization-of-unit": (
        lambda p: classifier(
            layers.Normalization(
                mean=[0.485, 0.456, 0.406], variance=[0.229**2, 0.224**2, 0.225**2]
            )
        ),
        "unit",
        True,
    ),
    "normalization-of-raw": (
        lambda p: classifier(layers.Normalization(mean=[120.0] * 3, variance=[3600.0] * 3)),
        "raw",
        True,
    ),
    "caffe-inside": (lambda p: as_caffe(), "raw", True),
    "efficientnet": (lambda p: nested(application("EfficientNetB0")), "raw", True),
    "mobilenet-v3": (
        lambda p: nested(application("MobileNetV3Small", minimalistic=True)),
        "raw",
        True,
    ),
    "vgg16-random-weights": (lambda p: nested(application("VGG16")), "caffe", False),
    "mobilenet-v2": (
        lambda p: trained(nested(application("MobileNetV2", alpha=0.35)), "tf", p),
        "tf",
        True,
    ),
    "resnet-from-scratch-on-unit": (
        lambda p: trained(nested(application("ResNet50")), "unit", p),
        "unit",
        True,
    ),
    "densenet": (lambda p: trained(nested(application("DenseNet121")), "torch", p), "torch", True),
    "grey-unit": (lambda p: trained(normalised(channels=1), "unit", p), "unit", True),
    "grey-raw": (lambda p: trained(normalised(channels=1), "raw", p), "raw", True),
    "plain": (lambda p: classifier(), "raw", False),
    **{
        f"statistics-{name}": (lambda p, name=name: trained(normalised(), name, p), name, True)
        for name in PREPROCESSINGS
    },
    **{
        f"statistics-of-pixels-{name}": (
            lambda p, name=name: trained(normalised_input(), name, p),
            name,
            True,
        )
        for name in ("raw", "unit", "tf")
    },
}


@pytest.mark.parametrize("name", KNOWN)
def test_what_is_known_is_recognised_or_called_a_guess(name, photos):
    make, preprocess, shown = KNOWN[name]
    convnet = ConvNet(make(photos))
    assert recommended_preprocessing(convnet) == preprocess
    deep = len(convnet.all_layers) > 15
    reports = [inspect_preprocessing(convnet, photo) for photo in photos[:: 4 if deep else 1]]
    # No photo may lead to a wrong answer that is not called a guess.
    assert all(report.recommended == preprocess or not report.certain for report in reports)
    right = [report for report in reports if report.recommended == preprocess]
    assert len(right) >= 0.7 * len(reports)
    if shown:
        assert sum(report.certain for report in right) >= 0.4 * len(reports)
    else:
        assert not any(report.certain for report in reports)


def test_statistics_outweigh_the_name_of_the_architecture(photos, parrot):
    report = inspect_preprocessing(
        ConvNet(trained(nested(application("ResNet50")), "unit", photos)), parrot
    )
    assert (report.family, report.recommended, report.certain) == ("ResNet", "unit", True)
    assert "batch normalisation" in report.reason
    assert len(report.evidence) == 2


def test_statistics_outweigh_rescaling_inside(photos, parrot):
    """Rescaled twice by mistake: that is what the network learned from."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            layers.Rescaling(1 / 255),
            *normalised().layers,
        ]
    )
    trained(model, "unit", photos)
    report = inspect_preprocessing(ConvNet(model), parrot)
    assert (report.recommended, report.certain, report.rescaling) == ("unit", True, True)


def test_a_batch_normalisation_that_never_saw_data_is_no_evidence(parrot):
    report = inspect_preprocessing(ConvNet(normalised()), parrot)
    assert report.statistics is None
    assert not report.certain
    assert {reading.misfit for reading in report.readings} == {None}


def test_statistics_of_something_else_than_photos_are_no_evidence(parrot):
    model = normalised()
    model.get_layer("norm").moving_mean.assign(np.full(16, 1e6))
    report = inspect_preprocessing(ConvNet(model), parrot)
    assert report.statistics.layer == "norm"
    assert not report.certain
    assert all(reading.misfit > 5 for reading in report.readings)


def test_a_network_that_standardises_every_photo_does_not_mind(parrot):
    inputs = keras.Input((SIDE, SIDE, 3))
    x = layers.LayerNormalization(axis=(1, 2, 3), center=False, scale=False)(inputs)
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3, name="first")(x))
    report = inspect_preprocessing(ConvNet(keras.Model(inputs, layers.Dense(2)(x))), parrot)
    assert (report.recommended, report.certain) == ("raw", True)
    assert "standardises" in report.reason


def test_scores_thousands_apart_speak_for_small_numbers(parrot):
    model = classifier(use_bias=False)
    model.layers[-1].set_weights(
        [np.float32(np.linspace(-4, 4, 48).reshape(16, 3)), np.zeros(3, "float32")]
    )
    model.get_layer("first").set_weights([np.full((3, 3, 3, 16), 0.05, "float32")])
    report = inspect_preprocessing(ConvNet(model), parrot)
    assert (report.recommended, report.certain) == ("unit", False)
    assert "apart" in report.reason


# What is reported.


def test_a_reading_is_what_the_network_says_under_it(photos, parrot):
    model = trained(normalised(), "torch", photos)
    report = inspect_preprocessing(ConvNet(model, labels=["a", "b", "c"]), parrot)
    assert [reading.preprocess for reading in report.readings] == list(PREPROCESSINGS)
    for reading in report.readings:
        convnet = ConvNet(model, preprocess=reading.preprocess, labels=["a", "b", "c"])
        assert reading.prediction == convnet.top(parrot, 1)[0]
        tensor = convnet.input_tensor(parrot)
        assert reading.received == pytest.approx((tensor.min(), tensor.max()))
    best = min(report.readings, key=lambda reading: reading.misfit)
    assert best.preprocess == report.recommended == "torch"


def test_one_graph_serves_every_reading_and_photo(photos):
    traced = []

    class Counting(layers.Layer):
        def call(self, x):
            traced.append(tf.inside_function())
            return x

    convnet = ConvNet(classifier(Counting()))
    traced.clear()
    for photo in photos[:2]:
        inspect_preprocessing(convnet, photo)
    assert traced.count(True) == 1


def test_what_is_received_is_what_arrives_after_rescaling(parrot):
    report = inspect_preprocessing(ConvNet(classifier(layers.Rescaling(2, 7))), parrot)
    tensor = ConvNet(classifier()).input_tensor(parrot)
    assert report.rescaling
    assert report.readings[0].received == pytest.approx(
        (2 * tensor.min() + 7, 2 * tensor.max() + 7)
    )


def test_grey_networks_are_not_offered_conventions_of_colour(parrot):
    report = inspect_preprocessing(ConvNet(normalised(channels=1)), parrot)
    assert [reading.preprocess for reading in report.readings] == ["raw", "unit", "tf"]


def test_a_network_without_classes_is_inspected_too(parrot):
    report = inspect_preprocessing(ConvNet(application("VGG16")), parrot)
    assert (report.recommended, report.family) == ("caffe", "VGG16")
    assert {reading.prediction for reading in report.readings} == {None}


@pytest.mark.parametrize("kind", nets.KINDS)
def test_every_kind_of_network_is_inspected_and_left_as_it_was(kind, parrot):
    convnet = nets.open_net(kind)
    preprocess = convnet.preprocess
    before = [weight.numpy().tobytes() for weight in convnet.model.weights]
    maps = vizlib.activations(convnet, parrot)
    report = inspect_preprocessing(convnet, parrot)
    assert report.recommended in [reading.preprocess for reading in report.readings]
    assert convnet.preprocess == preprocess
    assert [weight.numpy().tobytes() for weight in convnet.model.weights] == before
    for name, values in vizlib.activations(convnet, parrot).items():
        np.testing.assert_array_equal(values, maps[name])


def test_published_first_kernels_make_the_family_certain(parrot, monkeypatch):
    model = nested(application("VGG16"))
    kernel = model.layers[0].get_layer("block1_conv1").kernel.numpy()
    norms = np.sqrt((kernel**2).sum(axis=(0, 1, 2)))
    entry = {"VGG16": {"layer": "block1_conv1", "norms": (norms * 1.03).tolist()}}
    monkeypatch.setattr("vizlib.inspection._published_norms", lambda: entry)
    assert inspect_preprocessing(ConvNet(model), parrot).certain
    entry["VGG16"]["norms"] = (norms[::-1] * 1.5).tolist()
    assert not inspect_preprocessing(ConvNet(model), parrot).certain


# The pieces.


def test_divergence_by_hand():
    values = np.array([[0.0, 10.0], [2.0, 10.0], [0.0, 14.0], [2.0, 14.0]])  # means 1, 12; var 1, 4
    same = StoredStatistics("x", np.array([1.0, 12.0]), np.array([1.0, 4.0]))
    assert divergence(values, same) == pytest.approx(0, abs=1e-5)
    shifted = StoredStatistics("x", np.array([3.0, 12.0]), np.array([1.0, 4.0]))
    # One channel 2²/2 = 2 nats off, the other none; the median of two is their mean.
    assert divergence(values, shifted) == pytest.approx(1, abs=1e-4)
    wide = StoredStatistics("x", np.array([1.0, 12.0]), np.array([4.0, 16.0]))
    assert divergence(values, wide) == pytest.approx(0.5 * (0.25 - 1 + np.log(4)), abs=1e-4)


def test_noise_like_photos():
    noise = photo_like_noise((96, 128))
    assert noise.shape == (96, 128, 3)
    assert noise.tobytes() == photo_like_noise((96, 128)).tobytes()
    assert noise.tobytes() != photo_like_noise((96, 128), seed=1).tobytes()
    np.testing.assert_allclose(noise.mean(axis=(0, 1)), [123.7, 116.3, 103.5], atol=4)
    np.testing.assert_allclose(noise.std(axis=(0, 1)), [58, 57, 57], atol=8)
    assert np.corrcoef(noise[..., 0].ravel(), noise[..., 2].ravel())[0, 1] > 0.8
    assert photo_like_noise((1, 1)).shape == (1, 1, 3)


def test_the_spectrum_of_the_noise_falls_like_that_of_photos(photos):
    def slope(image):
        spectrum = np.abs(np.fft.rfft2(image[..., 1] - image[..., 1].mean()))
        frequency = np.hypot(
            np.fft.fftfreq(image.shape[0])[:, None], np.fft.rfftfreq(image.shape[1])
        )
        usual = (frequency > 0.02) & (frequency < 0.3)
        return np.polyfit(np.log(frequency[usual]), np.log(spectrum[usual] + 1e-9), 1)[0]

    assert slope(photo_like_noise((256, 256))) == pytest.approx(-1, abs=0.15)
    assert np.mean([slope(photo) for photo in photos]) == pytest.approx(-1.2, abs=0.4)


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("VGG16", "VGG16"),
        ("ResNet50", "ResNet"),
        ("ResNet101", "ResNet"),
        ("ResNet50V2", "ResNetV2"),
        ("MobileNet", "MobileNet"),
        ("MobileNetV2", "MobileNetV2"),
        ("Xception", "Xception"),
        ("DenseNet121", "DenseNet"),
        ("EfficientNetB0", "EfficientNet"),
        ("EfficientNetV2B0", "EfficientNetV2"),
    ],
)
def test_published_architectures_are_recognised(name, family):
    build = getattr(keras.applications, name)
    model = build(weights=None, include_top=False, input_shape=(96, 96, 3))
    assert recognise(listed(model)).name == family


@pytest.mark.parametrize(
    ("name", "family", "side"),
    [("InceptionV3", "InceptionV3", 96), ("NASNetMobile", "NASNet", 96)],
)
def test_more_published_architectures_are_recognised(name, family, side):
    test_published_architectures_are_recognised(name, family)


def listed(model: keras.Model) -> list[LayerInfo]:
    return [
        LayerInfo(layer.name, type(layer).__name__, tuple(layer.output.shape[1:]))
        for layer in model.layers
        if not isinstance(layer.output, list)
    ]


def test_vgg19_is_a_family_of_its_own_and_names_alone_are_not_enough():
    model = keras.applications.VGG19(weights=None, include_top=False)
    assert recognise(listed(model)).name == "VGG19"
    assert recognise(listed(classifier())) is None
    narrow = [
        LayerInfo(f"block{b}_conv{c}", "Conv2D", (8, 8, 8)) for b in range(6) for c in range(5)
    ]
    assert recognise(narrow) is None


# What loading makes of it.


# Keras 3.15 turns its variables to arrays in a way that NumPy 2 calls outdated.
@pytest.mark.filterwarnings("ignore:__array__ implementation")
def test_a_loaded_file_is_read_as_its_evidence_says(tmp_path, photos):
    path = tmp_path / "mine.keras"
    trained(normalised(), "torch", photos).save(path)
    assert vizlib.load_convnet(path).preprocess == "torch"
    assert vizlib.load_convnet(path, preprocess="tf").preprocess == "tf"


def test_another_reading_shares_the_model_and_nothing_else(parrot):
    model = nets.functional()
    raw = ConvNet(model)
    unit = raw.reading("unit")
    assert unit.model is raw.model
    assert (raw.preprocess, unit.preprocess) == ("raw", "unit")
    np.testing.assert_array_equal(
        unit.scores(parrot), ConvNet(model, preprocess="unit").scores(parrot)
    )
    layer = raw.default_layer
    both = [
        vizlib.filter_patterns(net, layer, [0], recipe="classic", steps=3, size=32).images
        for net in (raw, unit, ConvNet(model, preprocess="unit"))
    ]
    np.testing.assert_array_equal(both[1], both[2])
    assert (both[0] != both[1]).any()
    with pytest.raises(vizlib.InvalidArgumentError, match="Expected preprocess"):
        raw.reading("none")


def test_a_network_that_flattens_the_photo_first_is_looked_into_too():
    image = keras.Input((12, 12, 3))
    numbers = keras.layers.Dense(12)(keras.layers.Flatten()(image))
    maps = keras.layers.Conv2D(2, 1)(keras.layers.Reshape((2, 2, 3))(numbers))
    convnet = ConvNet(keras.Model(image, keras.layers.Flatten()(maps)), preprocess="unit")
    photo = np.random.default_rng(0).integers(0, 256, (12, 12, 3), dtype="uint8")
    report = inspect_preprocessing(convnet, photo)
    assert report.recommended in PREPROCESSINGS
    assert not report.rescaling
