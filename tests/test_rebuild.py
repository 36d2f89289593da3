"""The rebuilt network is the one that was saved."""

import contextlib
import json
import random
import resource
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers as L

from tests.honest_models.reader import read
from tests.test_vetting import mutated
from vizlib import rebuild
from vizlib.errors import ModelLoadError
from vizlib.layer_rules import LAYERS
from vizlib.model_files import StoredModel
from vizlib.rebuild import measure, model_from, without_memory
from vizlib.vetting import vet

SUFFIXES = (".h5", ".keras")
pytestmark = pytest.mark.filterwarnings("ignore")


def randomised(model, seed=0):
    random = np.random.default_rng(seed)
    for weight in model.weights:
        weight.assign(random.uniform(0.2, 1, weight.shape).astype(weight.dtype))
    return model


def image(model, seed=1):
    random = np.random.default_rng(seed)
    found = [
        random.uniform(0, 255, [2, *(side or 20 for side in tensor.shape[1:])]).astype("float32")
        for tensor in model.inputs
    ]
    return found[0] if len(found) == 1 else found


def saved(model, folder, suffix=".keras"):
    path = folder / f"model{suffix}"
    model.save(path)
    return read(path)


def assert_same(model, again):
    x = image(model)
    for one, other in zip(
        keras.tree.flatten(model(x, training=False)),
        keras.tree.flatten(again(x, training=False)),
        strict=True,
    ):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


def assert_comes_back(model, folder, suffixes=(".keras", ".h5")):
    for suffix in suffixes:
        stored = saved(model, folder, suffix)
        architecture = vet(stored.config)
        assert vet(json.loads(json.dumps(architecture))) == architecture
        assert_same(model, model_from(stored))


def conv_input():
    return L.Input((8, 8, 3))


def normalisation():
    layer = L.Normalization(axis=-1)
    layer.adapt(np.random.default_rng(0).uniform(0, 255, (4, 8, 8, 3)).astype("float32"))
    return layer


def scale_layer(name):
    return rebuild._OWN_CLASSES[name]


ONE_LAYER = {
    "Conv2D": lambda: L.Conv2D(4, 3, strides=2, padding="same", activation="relu"),
    "Conv2D groups": lambda: L.Conv2D(6, 3, groups=3, use_bias=False),
    "Conv2D dilated": lambda: L.Conv2D(2, (3, 2), dilation_rate=2, activation=L.LeakyReLU(0.2)),
    "DepthwiseConv2D": lambda: L.DepthwiseConv2D(3, depth_multiplier=2, depthwise_regularizer="l1"),
    "SeparableConv2D": lambda: L.SeparableConv2D(4, 3),
    "Conv2DTranspose": lambda: L.Conv2DTranspose(2, 3, strides=2, output_padding=1),
    "MaxPooling2D": lambda: L.MaxPooling2D(),
    "AveragePooling2D": lambda: L.AveragePooling2D(3, 2, "same"),
    "GlobalAveragePooling2D": lambda: L.GlobalAveragePooling2D(keepdims=True),
    "GlobalMaxPooling2D": lambda: L.GlobalMaxPooling2D(),
    "AdaptiveAveragePooling2D": lambda: L.AdaptiveAveragePooling2D(2),
    "AdaptiveMaxPooling2D": lambda: L.AdaptiveMaxPooling2D((2, 4)),
    "ZeroPadding2D": lambda: L.ZeroPadding2D(((1, 0), (2, 3))),
    "Cropping2D": lambda: L.Cropping2D(1),
    "UpSampling2D": lambda: L.UpSampling2D(2, interpolation="bilinear"),
    "Dense": lambda: L.Dense(3, kernel_regularizer="l2", kernel_constraint="max_norm"),
    "Flatten": lambda: L.Flatten(),
    "Reshape": lambda: L.Reshape((-1, 6)),
    "Permute": lambda: L.Permute((2, 1, 3)),
    "Identity": lambda: L.Identity(),
    "Activation": lambda: L.Activation("swish"),
    "ReLU": lambda: L.ReLU(6.0, 0.1, 0.2),
    "LeakyReLU": lambda: L.LeakyReLU(0.2),
    "PReLU": lambda: L.PReLU(shared_axes=[1, 2]),
    "ELU": lambda: L.ELU(0.5),
    "Softmax": lambda: L.Softmax(-1),
    "BatchNormalization": lambda: L.BatchNormalization(),
    "LayerNormalization": lambda: L.LayerNormalization(axis=[2, 3]),
    "GroupNormalization": lambda: L.GroupNormalization(3),
    "UnitNormalization": lambda: L.UnitNormalization(),
    "RMSNormalization": lambda: L.RMSNormalization(),
    "Normalization": normalisation,
    "Normalization with numbers": lambda: L.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0] * 3),
    "Rescaling": lambda: L.Rescaling([0.1, 0.2, 0.3], offset=-1),
    "Resizing": lambda: L.Resizing(5, 6, crop_to_aspect_ratio=True),
    "CenterCrop": lambda: L.CenterCrop(4, 4),
    "Dropout": lambda: L.Dropout(0.5, noise_shape=(None, 1, 1, 3), seed=3),
    "SpatialDropout2D": lambda: L.SpatialDropout2D(0.2),
    "AlphaDropout": lambda: L.AlphaDropout(0.2),
    "GaussianDropout": lambda: L.GaussianDropout(0.2),
    "GaussianNoise": lambda: L.GaussianNoise(0.2),
    "ActivityRegularization": lambda: L.ActivityRegularization(0.1),
    "RandomFlip": lambda: L.RandomFlip("horizontal"),
    "RandomRotation": lambda: L.RandomRotation(0.1),
    "RandomZoom": lambda: L.RandomZoom(0.1, (-0.2, 0.2)),
    "RandomTranslation": lambda: L.RandomTranslation(0.1, 0.1, fill_mode="constant"),
    "RandomShear": lambda: L.RandomShear(0.1, 0.2),
    "RandomContrast": lambda: L.RandomContrast(0.2),
    "RandomBrightness": lambda: L.RandomBrightness(0.2, value_range=(0, 1)),
    "RandomHue": lambda: L.RandomHue(0.2),
    "RandomSaturation": lambda: L.RandomSaturation(0.2),
    "RandomSharpness": lambda: L.RandomSharpness(0.2),
    "RandomGrayscale": lambda: L.RandomGrayscale(0.2),
    "RandomColorJitter": lambda: L.RandomColorJitter(brightness_factor=0.1),
    "RandomCrop": lambda: L.RandomCrop(5, 5),
    "LayerScale": lambda: scale_layer("LayerScale")(0.1, 3),
    "CustomScaleLayer": lambda: scale_layer("CustomScaleLayer")(0.3),
}
ATTENTION = {
    "MultiHeadAttention": lambda: L.MultiHeadAttention(2, 4, dropout=0.1),
    "MultiHeadAttention of values": lambda: L.MultiHeadAttention(3, 4, value_dim=5, use_bias=False),
    "MultiHeadAttention to rows": lambda: L.MultiHeadAttention(2, 3, output_shape=6),
    "MultiHeadAttention along an axis": lambda: L.MultiHeadAttention(2, 3, attention_axes=2),
}
FLAT_LAYERS = {
    "Conv1D": lambda: L.Conv1D(3, 2, padding="causal"),
    "MaxPooling1D": lambda: L.MaxPooling1D(),
    "AveragePooling1D": lambda: L.AveragePooling1D(2),
    "GlobalAveragePooling1D": lambda: L.GlobalAveragePooling1D(),
    "GlobalMaxPooling1D": lambda: L.GlobalMaxPooling1D(),
    "ZeroPadding1D": lambda: L.ZeroPadding1D((1, 2)),
    "UpSampling1D": lambda: L.UpSampling1D(2),
    "SpatialDropout1D": lambda: L.SpatialDropout1D(0.2),
}
MERGES = ["Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate"]


@pytest.mark.parametrize("case", ONE_LAYER)
def test_every_layer_comes_back(case, tmp_path):
    layer = ONE_LAYER[case]()
    inputs = conv_input()
    outputs = layer([inputs, inputs] if case == "CustomScaleLayer" else inputs)
    model = keras.Model(inputs, outputs)
    if "Normalization" not in case or case == "BatchNormalization":
        randomised(model)
    # Keras 3 itself cannot write these as .h5.
    unwritten = ("RandomBrightness", "RandomSaturation", "RandomSharpness")
    suffixes = (".keras",) if case in unwritten else (".keras", ".h5")
    assert_comes_back(model, tmp_path, suffixes)


@pytest.mark.parametrize("case", FLAT_LAYERS)
def test_layers_for_rows_come_back(case, tmp_path):
    assert_comes_back(
        randomised(keras.Sequential([L.Input((8, 3)), FLAT_LAYERS[case]()])), tmp_path
    )


@pytest.mark.parametrize("case", MERGES)
def test_layers_of_two_inputs_come_back(case, tmp_path):
    a, b = conv_input(), conv_input()
    assert_comes_back(keras.Model([a, b], getattr(L, case)()([a, b])), tmp_path)


def test_the_other_layers_come_back(tmp_path):
    words, features = L.Input((4,)), L.Input((4,))
    a = L.RepeatVector(4)(L.Dense(3)(features))
    b = L.Embedding(300, 3)(words)
    assert_comes_back(randomised(keras.Model([words, features], L.Dot(axes=2)([a, b]))), tmp_path)


@pytest.mark.parametrize("case", ATTENTION)
@pytest.mark.parametrize("keyed", [False, True])
def test_attention_comes_back(case, keyed, tmp_path):
    query, value = L.Input((4, 5, 6)), L.Input((4, 5, 6))
    options = {"key": L.Dense(3)(value)} if keyed else {}
    outputs = ATTENTION[case]()(query=query, value=value, **options)
    model = randomised(keras.Model([query, value], outputs))
    assert_comes_back(model, tmp_path)
    assert measure(vet(saved(model, tmp_path).config)).parameters == model.count_params()


def attended():
    inputs = L.Input((12, 12, 3))
    x = L.Reshape((-1, 8))(L.Conv2D(8, 4, strides=4)(L.Rescaling(1 / 255)(inputs)))
    for _ in range(2):
        y = L.LayerNormalization(epsilon=1e-6)(x)
        x = L.Add()([x, L.MultiHeadAttention(2, 4)(y, y)])
        y = L.Dense(16, "gelu")(L.LayerNormalization()(x))
        x = L.Add()([x, L.Dropout(0.1)(L.Dense(8)(y))])
    return keras.Model(inputs, x, name="attended")


@pytest.mark.parametrize("frozen", [0, 6, 20])
def test_attention_in_nested_models_comes_back(frozen, tmp_path):
    base = attended()
    for layer in base.layers[:frozen]:
        layer.trainable = False
    model = keras.Sequential([base, L.GlobalAveragePooling1D(), L.Dense(2)])
    assert_comes_back(randomised(model), tmp_path)


def test_every_layer_of_the_list_is_tried():
    cases = [*ONE_LAYER, *FLAT_LAYERS, *MERGES, *ATTENTION]
    tried = {case.split()[0] for case in cases}
    assert set(LAYERS) - tried == {"InputLayer", "Embedding", "RepeatVector", "Dot"}


HONEST = sorted(
    path for path in (Path(__file__).parent / "honest_models").iterdir() if path.suffix in SUFFIXES
)


@pytest.mark.parametrize("path", HONEST, ids=lambda path: path.name)
def test_files_of_keras_2_give_what_they_gave(path):
    stored = read(path)
    model = model_from(stored)
    with np.load(path.with_suffix(".npz")) as reference:
        inputs = [reference[key] for key in sorted(reference) if key.startswith("input")]
        expected = [reference[key] for key in sorted(reference) if key.startswith("output")]
    if not isinstance(model, keras.Sequential) and isinstance(model.input, dict):
        inputs = dict(zip((one.name for one in model.inputs), inputs, strict=True))
    elif len(inputs) == 1:
        inputs = inputs[0]
    found = keras.tree.flatten(model(inputs, training=False))
    tolerance = 2e-2 if "half" in path.name else 1e-4
    for one, other in zip(found, expected, strict=True):
        one, other = np.asarray(one, "float64"), np.asarray(other, "float64")
        assert one.shape == other.shape
        assert np.abs(one - other).max() <= tolerance * max(1, np.abs(other).max())
    assert vet(vet(stored.config)) == vet(stored.config)


# ------------------------------------------------------------------------------ graphs of Keras 3


def small_base(frozen=0):
    inputs = L.Input((12, 12, 3))
    x = L.Conv2D(3, 3, activation="relu", name="c1")(inputs)
    x = L.BatchNormalization(name="b1")(x)
    x = L.Conv2D(4, 3, name="c2")(x)
    base = keras.Model(inputs, L.BatchNormalization(name="b2")(x), name="base")
    for layer in base.layers[:frozen]:
        layer.trainable = False
    return base


def operations():
    inputs = L.Input((12, 12, 3), name="im")
    x = (inputs / 255.0 - np.array([0.1, 0.2, 0.3], "float32")) * 2
    x = 1 - x[..., ::-1][:, 1:, :-1]
    x = keras.ops.image.resize(keras.ops.relu(x), (6, 6))
    x = keras.ops.concatenate([x, keras.ops.square(x)], axis=-1)
    a, b = keras.ops.split(L.Conv2D(4, 3)(x), 2, axis=-1)
    x = keras.ops.mean(keras.ops.maximum(a, b), axis=(1, 2), keepdims=True)
    x = keras.ops.clip(keras.ops.transpose(x, (0, 3, 1, 2)), -1, 1)
    x = keras.ops.squeeze(keras.ops.reshape(keras.activations.gelu(x), (-1, 2, 1)), axis=-1)
    return keras.Model(inputs, keras.ops.softmax(keras.ops.expand_dims(x, 1)))


def twice():
    a, b = L.Input((12, 12, 3)), L.Input((12, 12, 3))
    base = small_base()
    return keras.Model([a, b], [L.Subtract()([base(a), base(b)]), base(b)])


def in_each_other():
    inputs = L.Input((12, 12, 3))
    inner = keras.Sequential([small_base(2), L.Flatten(), L.Dense(3)], name="inner")
    outer = keras.Model(inputs, inner(inputs, training=False), name="outer")
    return keras.Sequential([L.Input((12, 12, 3)), L.Rescaling(0.1), outer, L.Dense(2)])


def dictionaries():
    inputs = {"photo": L.Input((12, 12, 3), name="photo"), "facts": L.Input((4,), name="facts")}
    x = L.Concatenate()([L.Flatten()(inputs["photo"]), inputs["facts"]])
    model = keras.Model(inputs, {"label": L.Dense(2)(x), "age": L.Dense(1)(x)}, name="both")
    a, b = L.Input((4,)), L.Input((12, 12, 3))
    found = model({"photo": b, "facts": a})
    return keras.Model([a, b], [found["label"], found["age"]])


def shared_layer():
    inputs = L.Input((12, 12, 3))
    layer = L.Conv2D(3, 3, padding="same")
    return keras.Model(inputs, layer(layer(inputs) + layer(inputs)))


def base_in_sequence():
    return keras.Sequential([small_base(4), L.GlobalAveragePooling2D(), L.Dense(2)])


def open_sides():
    return keras.Sequential([L.Input((None, None, 3)), L.Conv2D(2, 3), L.GlobalMaxPooling2D()])


def arm(name, *layers, side=12):
    inputs = L.Input((side, side, 3))
    x = inputs
    for layer in layers:
        x = layer(x)
    return keras.Model(inputs, x, name=name)


def layer_in_two_arms():
    shared = L.Conv2D(3, 3, name="shared")
    a = arm("a", shared, L.GlobalMaxPooling2D())
    b = arm("b", L.Conv2D(3, 1), shared, L.GlobalAveragePooling2D(), side=9)
    x, y = L.Input((12, 12, 3)), L.Input((9, 9, 3))
    return keras.Model([x, y], L.Dense(2)(L.Concatenate()([a(x), b(y)])))


def base_in_two_arms():
    base = small_base(2)
    a, b = arm("a", base, L.GlobalMaxPooling2D()), arm("b", L.Rescaling(0.1), base, L.Flatten())
    inputs = L.Input((12, 12, 3))
    return keras.Model(inputs, [L.Dense(2)(b(inputs)), a(inputs), L.ReLU()(base(inputs))])


def layer_outside_and_inside():
    shared = L.Conv2D(3, 3, padding="same")
    return arm("top", shared, arm("inner", L.ReLU(), shared), L.BatchNormalization(), shared)


def layer_in_two_sequences():
    shared = L.Conv2D(3, 3, padding="same")
    a = keras.Sequential([L.Input((12, 12, 3)), shared, L.ReLU()])
    b = keras.Sequential([L.Input((12, 12, 3)), L.Conv2D(3, 1), shared])
    return keras.Sequential([a, b, L.Flatten(), L.Dense(2)])


GRAPHS = [operations, twice, in_each_other, shared_layer, base_in_sequence, open_sides]


SHARED = [
    layer_in_two_arms,
    base_in_two_arms,
    layer_outside_and_inside,
    layer_in_two_sequences,
]


@pytest.mark.parametrize("make", SHARED)
def test_what_is_shared_between_nested_models_comes_back(make, tmp_path):
    model = randomised(make())
    assert_comes_back(model, tmp_path)
    stored = saved(model, tmp_path)
    again = model_from(stored)
    assert again.count_params() == model.count_params()
    assert measure(vet(stored.config)).parameters == model.count_params()


@pytest.mark.parametrize("make", GRAPHS)
def test_graphs_come_back(make, tmp_path):
    assert_comes_back(randomised(make()), tmp_path)


@pytest.mark.parametrize("frozen", range(6))
def test_frozen_layers_come_back(frozen, tmp_path):
    inputs = L.Input((12, 12, 3))
    base = small_base(frozen)
    model = keras.Model(inputs, L.Dense(2)(L.Flatten()(base(inputs))))
    assert_comes_back(randomised(model), tmp_path)


def test_inputs_and_outputs_with_names_come_back(tmp_path):
    assert_comes_back(randomised(dictionaries()), tmp_path, (".keras",))


def test_a_trained_model_comes_back(tmp_path):
    model = keras.Sequential(
        [
            L.Input((8, 8, 3)),
            L.RandomFlip(),
            L.Conv2D(2, 3),
            L.Dropout(0.2),
            L.Flatten(),
            L.Dense(1),
        ]
    )
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(np.ones((2, 8, 8, 3)), np.ones(2), verbose=0)
    assert_comes_back(model, tmp_path)


# -------------------------------------------------------------------------------- applications

APPLICATIONS = """VGG16 ResNet50 ResNet50V2 InceptionV3 InceptionResNetV2 Xception MobileNet
    MobileNetV2 MobileNetV3Small DenseNet121 NASNetMobile EfficientNetB0 EfficientNetV2B0
    ConvNeXtTiny"""


@pytest.mark.slow
@pytest.mark.parametrize("name", APPLICATIONS.split())
def test_every_family_of_applications_comes_back(name):
    with without_memory():
        model = getattr(keras.applications, name)(weights=None)
        parameters, config = model.count_params(), json.loads(model.to_json())
    names = [layer.name.replace("/", "_") for layer in model.layers]
    architecture = vet(config)
    assert vet(architecture) == architecture
    assert measure(architecture).parameters == parameters
    with without_memory():
        again = rebuild.build(architecture)
    assert [layer.name for layer in again.layers] == names


# -------------------------------------------------------------------------- budgets and weights


def test_measuring_counts_without_taking_memory():
    layers = [L.Input((8, 8, 3)), L.Conv2D(4, 3), L.Flatten(), L.Dense(5)]
    measured = measure(vet(json.loads(keras.Sequential(layers).to_json())))
    assert measured.parameters == 4 * 28 + 5 * 145
    assert measured.activations == 192 + 144 + 144 + 5


def large(kind, **options):
    first = {"class_name": "InputLayer", "config": {"batch_shape": [None, 64, 64, 3]}}
    layers = [first, {"class_name": kind, "config": options}]
    return {"class_name": "Sequential", "config": {"name": "large", "layers": layers}}


EMPTY = StoredModel({}, "keras3", {})
TOO_LARGE = {
    "parameters": large("Dense", units=10_000_000, activation="relu"),
    "filters": large("Conv2D", filters=10_000_000, kernel_size=[4000, 4000], padding="same"),
    "padding": large("ZeroPadding2D", padding=4096),
    "enlarged": large("UpSampling2D", size=4096),
    "reshaped": large("Reshape", target_shape=[10**9, -1]),
}


@pytest.mark.parametrize("case", TOO_LARGE)
def test_too_large_networks_are_refused_before_memory_is_taken(case):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ModelLoadError, match=r"Expected .* Received"):
        model_from(StoredModel(TOO_LARGE[case], "keras3", {}))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


def test_scores_of_attention_are_measured():
    inputs = L.Input((200, 200, 1))
    rows = L.Reshape((-1, 1))(inputs)
    attention = keras.Model(inputs, L.MultiHeadAttention(2, 1)(rows, rows))
    with pytest.raises(ModelLoadError, match=f"{2 * 200**4:,}"):
        measure(vet(json.loads(attention.to_json())))


def test_measuring_leaves_nothing_to_be_made_later():
    with pytest.raises(ModelLoadError):
        measure(vet(TOO_LARGE["parameters"]))
    assert not rebuild.global_state.get_global_attribute("uninitialized_variables")


@pytest.fixture
def stored(tmp_path):
    return saved(randomised(base_in_sequence()), tmp_path)


def changed(stored, **weights):
    left = {**stored.weights, **weights}
    kept = {path: array for path, array in left.items() if array is not None}
    return StoredModel(stored.config, stored.layout, kept, stored.legacy_order)


KERNEL = "layers/dense/vars/0"


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (None, KERNEL),
        (np.ones((4, 3), "float32"), r"\(4, 2\).*\(4, 3\) in layers/dense/vars/0"),
        (np.full((4, 2), np.nan, "float32"), "finite"),
        (np.full((4, 2), 1e300), "finite"),
        (np.ones((4, 2), "complex64"), "finite"),
        (np.full((4, 2), "x"), "finite"),
    ],
)
def test_wrong_weights_are_refused(stored, array, message):
    with pytest.raises(ModelLoadError, match=message):
        model_from(changed(stored, **{KERNEL: array}))


def test_weights_of_no_layer_are_refused(stored):
    with pytest.raises(ModelLoadError, match="layers/dense_7"):
        model_from(changed(stored, **{"layers/dense_7/vars/0": np.ones(3)}))


def test_missing_groups_of_old_files_are_named(tmp_path):
    stored = saved(randomised(base_in_sequence()), tmp_path, ".h5")
    order = tuple(entry for entry in stored.legacy_order if not entry[0].startswith("dense"))
    with pytest.raises(ModelLoadError, match="dense"):
        model_from(StoredModel(stored.config, "legacy", stored.weights, order))


@pytest.mark.parametrize("ending", ["", None])
def test_kernels_that_theano_turned_round_are_refused(ending):
    stored = read(Path(__file__).parent / "honest_models" / "keras1_chain.h5")
    order, weights = [], {}
    for layer, names in stored.legacy_order:
        new = [f"param_{k}" if ending is None else n[:-2] for k, n in enumerate(names)]
        weights |= {
            f"{layer}/{b}": stored.weights[f"{layer}/{a}"] for a, b in zip(names, new, strict=True)
        }
        order.append((layer, tuple(new)))
    with pytest.raises(ModelLoadError, match="Theano"):
        model_from(StoredModel(stored.config, "legacy", weights, tuple(order)))


def test_what_the_lists_allow_is_built_or_refused():
    configs = [read(path).config for path in HONEST]
    chance = random.Random(5)
    built = 0
    for number in range(300):
        try:
            architecture = vet(mutated(configs[number % len(configs)], chance))
            measure(architecture)
            built += isinstance(rebuild.rebuild(architecture, EMPTY), keras.Model)
        except ModelLoadError as error:
            built += "as the architecture has it" in str(error)
    assert built > 20


def test_a_very_long_chain_is_refused_or_built():
    layers = [{"class_name": "ReLU", "config": {"name": f"r{k}"}} for k in range(2000)]
    config = large("Flatten")
    config["config"]["layers"] += layers
    with contextlib.suppress(ModelLoadError):
        assert len(model_from(StoredModel(config, "keras3", {})).layers) == 2001
