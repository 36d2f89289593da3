"""Whole recipes on tiny networks: known answers, independence, seeds, every kind of net."""

import itertools
from dataclasses import replace

import keras
import nets
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from test_filter_parts import apart

import vizlib
from vizlib import FILTER_RECIPES, ConvNet, filter_patterns, objectives, optimize
from vizlib.filters import ascent, transforms
from vizlib.filters.optimisers import adam
from vizlib.filters.spectra import modelled_spectrum, photo_spectrum

NEW = ["fourier", "maco", "maco-1/f"]
SPECTRA = {"maco": photo_spectrum, "maco-1/f": modelled_spectrum}


def kernel_net(kernel):
    """One convolution without activation."""
    height, width, channels, filters = kernel.shape
    image = keras.Input((max(height, 16), max(width, 16), channels))
    conv = layers.Conv2D(filters, (height, width), use_bias=False, name="c1")
    model = keras.Model(image, conv(image))
    conv.set_weights([kernel])
    return ConvNet(model, preprocess="unit")


def still(monkeypatch, recipe):
    """The recipe with the picture shown as it is; a name for it."""
    own = replace(FILTER_RECIPES[recipe], view=None, noise=0.0)
    monkeypatch.setitem(FILTER_RECIPES, "still", own)
    return "still"


def watched(monkeypatch, recipe):
    """Pictures of a recipe before they are rounded, as they come."""
    seen, made = [], FILTER_RECIPES[recipe]

    def develop(pixels):
        seen.append(pixels)
        return made.parameterisation.develop(pixels)

    own = replace(made, parameterisation=replace(made.parameterisation, develop=develop))
    monkeypatch.setitem(FILTER_RECIPES, recipe, own)
    return seen


def turned_away(one, other):
    return np.abs(one.images.astype(float) - other.images).mean()


# Known answers.


def test_within_the_range_of_pixels_the_best_picture_of_a_linear_neuron_is_its_sign(monkeypatch):
    kernel = np.random.default_rng(0).normal(size=(16, 16, 1, 2))
    recipe = still(monkeypatch, "fourier")
    patterns = filter_patterns(kernel_net(kernel), "c1", [0, 1], recipe=recipe, steps=400)
    for channel in (0, 1):
        own, picture = kernel[..., 0, channel], patterns.images[channel, ..., 0]
        clear = np.abs(own) > 0.3
        assert ((picture > 127) == (own > 0))[clear].mean() > 0.97
        best = own[own > 0].sum()
        assert patterns.objective[channel, -1] > 0.85 * best


@pytest.mark.parametrize("recipe", SPECTRA)
def test_moved_waves_match_the_waves_of_a_linear_neuron(recipe, monkeypatch):
    """Of all pictures with a given strength of each wave, that with the kernel's phases is best."""
    kernel = 0.01 * np.random.default_rng(0).normal(size=(16, 16, 1, 1))
    monkeypatch.setitem(
        FILTER_RECIPES, "slow", replace(FILTER_RECIPES[recipe], optimiser=adam(0.05))
    )
    seen = watched(monkeypatch, still(monkeypatch, "slow"))
    filter_patterns(kernel_net(kernel), "c1", [0], recipe="still", steps=300)
    found, wanted = (np.fft.rfft2(x[..., 0])[:, 1:-1] for x in (apart(seen[0]), kernel[..., 0]))
    away = np.cos(np.angle(found) - np.angle(wanted))
    strength = np.abs(found) * np.abs(wanted)
    assert (away * strength).sum() / strength.sum() > 0.95


@pytest.mark.parametrize("colour", [0, 1, 2])
def test_a_one_by_one_identity_is_filled_with_exactly_its_colour(colour, monkeypatch):
    convnet = kernel_net(np.eye(3).reshape(1, 1, 3, 3))
    recipe = still(monkeypatch, "fourier")
    bright = filter_patterns(convnet, "c1", [colour], recipe=recipe, steps=600)
    assert bright.images[0, ..., colour].min() >= 240
    assert bright.objective[0, -1] > 0.95
    assert np.ptp(bright.images.astype(int), axis=(1, 2)).max() <= 2
    only = objectives.direction("c1", {i: 1 if i == colour else -1 for i in range(3)})
    pure = optimize(convnet, [only], recipe=recipe, steps=1200).images[0]
    assert ((pure > 127) == (np.arange(3) == colour)).all(axis=2).mean() > 0.6


@pytest.mark.parametrize("colour", [0, 1, 2])
def test_a_plain_colour_is_plain_under_moving_views_too(colour):
    convnet = kernel_net(np.eye(3).reshape(1, 1, 3, 3))
    bright = filter_patterns(convnet, "c1", [colour]).images[0].astype(int)
    assert bright[..., colour].min() > 230
    assert bright.std(axis=(0, 1)).max() < 4


def test_only_what_is_the_same_everywhere_is_seen_from_anywhere(monkeypatch):
    starts = []

    def by_turns(seed, step, size, parts):
        starts.append(size)
        return transforms.by_turns(seed, step, size, parts)

    monkeypatch.setattr(ascent, "by_turns", by_turns)
    convnet = nets.open_net("functional")
    for objective, recipe, roams in [
        (objectives.channel("c1", 0), "fourier", True),
        (objectives.neuron("c1", 0), "fourier", False),
        (objectives.class_logit(0), "fourier", False),
        (objectives.channel("c1", 0), "maco", False),
    ]:
        optimize(convnet, [objective], recipe=recipe, steps=2)
        assert bool(starts) == roams
        starts.clear()


@pytest.mark.parametrize("recipe", SPECTRA)
def test_the_strength_of_every_wave_stays_through_all_steps(recipe, monkeypatch):
    seen = watched(monkeypatch, recipe)
    convnet = nets.open_net("functional")
    for steps in range(1, 9):
        filter_patterns(convnet, "c2", [0], recipe=recipe, steps=steps, size=(15, 18))
    wanted = SPECTRA[recipe]((15, 18, 3))
    for pixels in seen:
        found = np.abs(np.fft.rfft2(apart(pixels), axes=(0, 1))).transpose(2, 0, 1)
        np.testing.assert_allclose(found, wanted, rtol=5e-3, atol=2e-3 * wanted.max())
    assert all(np.abs(a - b).max() > 3 for a, b in itertools.pairwise(seen))


# What the objective rested on.


def test_transparency_shows_where_the_objective_looked():
    """A neuron that sees one corner only rests on that corner."""
    kernel = np.zeros((16, 16, 1, 1))
    kernel[:8, :8] = 1
    patterns = filter_patterns(kernel_net(kernel), "c1", [0], recipe="maco", steps=20)
    assert patterns.transparency.shape == (1, 16, 16)
    assert patterns.transparency.dtype == np.float32
    corner = patterns.transparency[0, :6, :6]
    elsewhere = patterns.transparency[0, 11:, 11:]
    assert corner.min() > elsewhere.max() + 0.2
    assert patterns.transparency.min() == 0
    assert patterns.transparency.max() == 1


@pytest.mark.parametrize("recipe", ["classic", "fourier"])
def test_recipes_that_do_not_note_it_have_no_transparency(recipe):
    patterns = filter_patterns(nets.open_net("functional"), "c2", [0], recipe=recipe, steps=1)
    assert patterns.transparency is None
    assert patterns.best(1).transparency is None


def test_the_best_keep_their_transparency():
    patterns = filter_patterns(nets.open_net("functional"), "c2", range(4), recipe="maco", steps=3)
    best = patterns.best(2)
    for place, channel in enumerate(best.channels):
        assert (best.transparency[place] == patterns.transparency[channel]).all()


# One picture and the others.


@pytest.mark.parametrize("recipe", NEW)
def test_a_batch_of_eight_equals_eight_of_one(recipe):
    convnet = nets.open_net("functional")
    channels = [5, 0, 3, 1, 4, 2, 0, 5]
    together = filter_patterns(convnet, "c2", channels, recipe=recipe, steps=6)
    for place, channel in enumerate(channels):
        alone = filter_patterns(convnet, "c2", [channel], recipe=recipe, steps=6)
        assert np.abs(together.images[place].astype(int) - alone.images[0]).max() <= 1
        np.testing.assert_allclose(together.objective[place], alone.objective[0], rtol=1e-4)
    assert (together.images[0] == together.images[7]).all()


@pytest.mark.parametrize("recipe", NEW)
def test_same_seed_same_bytes_and_another_seed_another_picture(recipe):
    one, same, other = (
        filter_patterns(nets.open_net("functional"), "c2", [0, 4], recipe=recipe, steps=4, seed=s)
        for s in (3, 3, 4)
    )
    for field in ("images", "objective"):
        assert getattr(one, field).tobytes() == getattr(same, field).tobytes()
    assert turned_away(one, other) > 1


@pytest.mark.parametrize("recipe", NEW)
def test_a_step_is_traced_once_whatever_the_channels(recipe):
    convnet, traces = nets.open_net("functional"), []
    compiled = convnet.compiled
    convnet.compiled = lambda key, build: compiled(key, lambda: traces.append(key) or build())
    for channels in ([0, 1], [2, 3]):
        for seed in (0, 1):
            filter_patterns(convnet, "c2", channels, recipe=recipe, steps=2, seed=seed)
    assert len([key for key in traces if key[0] == "filters"]) == 1


# Options.


def test_fourier_is_the_default_with_256_steps():
    convnet = nets.open_net("functional")
    plain = filter_patterns(convnet, "c1", [1])
    named = filter_patterns(convnet, "c1", [1], recipe="fourier", steps=256)
    assert plain.images.tobytes() == named.images.tobytes()
    assert plain.objective.shape == (1, 256)
    assert [recipe.steps for recipe in FILTER_RECIPES.values()] == [256, 256, 256, 30]


def test_each_recipe_makes_another_picture_and_has_a_title():
    convnet = nets.open_net("functional")
    made = [filter_patterns(convnet, "c2", [0], recipe=r, steps=5) for r in FILTER_RECIPES]
    for place, one in enumerate(made):
        assert all(turned_away(one, other) > 1 for other in made[:place])
    assert len({recipe.title for recipe in FILTER_RECIPES.values()}) == len(FILTER_RECIPES)


@pytest.mark.parametrize("option", ["view", "noise", "optimiser", "parameterisation"])
def test_every_part_of_a_recipe_matters(option, monkeypatch):
    maco = FILTER_RECIPES["maco"]
    other = {
        "view": None,
        "noise": 60.0,
        "optimiser": adam(0.01),
        "parameterisation": FILTER_RECIPES["maco-1/f"].parameterisation,
    }
    monkeypatch.setitem(FILTER_RECIPES, "other", replace(maco, **{option: other[option]}))
    convnet = nets.open_net("functional")
    one, two = (filter_patterns(convnet, "c2", [0], recipe=r, steps=5) for r in ("maco", "other"))
    assert turned_away(one, two) > 0.5


@pytest.mark.parametrize(
    ("recipe", "changed", "varies"),
    [
        ("fourier", {}, True),
        ("maco", {}, True),
        ("maco", {"view": None}, True),
        ("maco", {"noise": 0.0}, True),
        ("maco", {"view": None, "noise": 0.0}, False),
    ],
    ids=["views", "crops and noise", "noise", "crops", "neither"],
)
def test_view_and_noise_are_new_in_each_step_and_the_same_for_all(
    recipe, changed, varies, monkeypatch
):
    """With an optimiser that stands still, nothing else can change what a step starts from."""
    own = replace(FILTER_RECIPES[recipe], optimiser=adam(0.0), **changed)
    monkeypatch.setitem(FILTER_RECIPES, "own", own)
    convnet = nets.open_net("functional")
    trace = filter_patterns(convnet, "c2", [4, 4, 2], recipe="own", steps=9).objective
    assert (trace[0] == trace[1]).all()
    assert len(np.unique(trace[0])) == (9 if varies else 1)
    other = filter_patterns(convnet, "c2", [4], recipe="own", steps=9, seed=1).objective
    assert (other != trace[0]).all()


# Every kind of network.


KINDS = sorted(set(nets.KINDS) - {"uint8_input"})
TELLING = ["nested", "sequential", "grayscale", "non_square", "mixed_precision", "channels_first"]


@pytest.mark.parametrize(
    ("recipe", "kind"),
    [*(("fourier", kind) for kind in KINDS), *(("maco", kind) for kind in TELLING)],
)
def test_the_objective_rises_in_every_kind_of_network(recipe, kind):
    convnet = nets.open_net(kind)
    name = next(layer.name for layer in convnet.layers if layer.name.split("/")[-1] == "c1")
    patterns = filter_patterns(convnet, name, [2, 0], recipe=recipe, steps=25)
    assert patterns.images.shape == (2, *convnet.input_size, 3)
    assert patterns.images.dtype == np.uint8
    assert patterns.objective.shape == (2, 25)
    assert patterns.objective.dtype == np.float32
    assert patterns.diagnosis == (None, None)
    assert (patterns.objective[:, -5:].mean(1) > patterns.objective[:, :2].mean(1)).all()
    if convnet.input_channels == 1:
        assert (patterns.images == patterns.images[..., :1]).all()
    else:
        assert np.ptp(patterns.images.astype(int), axis=3).max() > 5


@pytest.mark.parametrize("recipe", NEW)
def test_networks_that_share_weights_share_pictures(recipe):
    """Nested or not, the picture is the same."""
    one, other = (
        filter_patterns(nets.open_net(kind), "c2", [0, 4], recipe=recipe, steps=5)
        for kind in ("functional", "nested")
    )
    assert one.images.tobytes() == other.images.tobytes()


@pytest.mark.parametrize("recipe", NEW)
@pytest.mark.parametrize("preprocess", ["caffe", "torch", "tf"])
def test_pixels_go_through_the_preprocessing(preprocess, recipe):
    """A twin that takes raw pixels and has the preprocessing folded into its first kernel."""
    model = nets.functional()
    kernel, bias = model.get_layer("c1").get_weights()
    made = vizlib.PREPROCESSINGS[preprocess]
    folded = kernel[:, :, ::-1] if made.reverse else kernel
    std, mean = (np.broadcast_to(x, 3)[None, None, :, None] for x in (made.std, made.mean))
    offset = (folded * -mean / std).sum(axis=(0, 1, 2))
    convnet = ConvNet(valid_conv(kernel, bias), preprocess)
    twin = ConvNet(valid_conv(folded * made.scale / std, bias + offset))
    mine, theirs = (
        filter_patterns(c, "c1", [0, 1], recipe=recipe, steps=8) for c in (convnet, twin)
    )
    np.testing.assert_allclose(mine.objective, theirs.objective, rtol=1e-3, atol=1e-3)
    assert turned_away(mine, theirs) < 1


def valid_conv(kernel, bias):
    conv = layers.Conv2D(kernel.shape[-1], 3, name="c1")
    model = keras.Sequential([keras.Input((16, 16, 3)), conv])
    conv.set_weights([kernel, bias])
    return model


# Channels that do not fire.


def sleepy():
    """Channel 0 fires above 0.7 grey, channel 1 always, channel 2 never can."""
    kernel = np.zeros((3, 3, 3, 3))
    kernel[..., :2] = 1 / 27
    image = keras.Input((12, 12, 3))
    conv = layers.Conv2D(3, 3, activation="relu", name="maps")
    model = keras.Model(image, conv(image))
    conv.set_weights([kernel, np.array([-0.7, 0.0, -0.5])])
    return ConvNet(model, preprocess="unit")


def test_a_sleeping_channel_is_woken_and_a_dead_one_said_to_be_dead():
    patterns = filter_patterns(sleepy(), "maps", [0, 1, 2], steps=80)
    sleeping, awake, dead = patterns.objective
    assert sleeping[0] < -0.05
    assert sleeping[-1] > 0.02
    assert awake[0] > 0.4
    np.testing.assert_allclose(dead, -0.5, atol=1e-6)
    assert patterns.diagnosis[:2] == (None, None)
    assert "Channel 2 never fired in 80 steps" in patterns.diagnosis[2]
    assert (patterns.images[2] == 128).all()
    assert not (patterns.images[0] == 128).all()


@pytest.mark.parametrize("recipe", NEW)
def test_weights_that_are_not_finite_are_said_to_be(recipe):
    convnet = kernel_net(np.full((3, 3, 3, 1), np.nan))
    patterns = filter_patterns(convnet, "c1", [0], recipe=recipe, steps=2)
    assert "Channel 0 gives numbers that are not finite" in patterns.diagnosis[0]
    assert (patterns.images == 128).all()
    assert patterns.transparency is None or (patterns.transparency == 0).all()


@pytest.mark.parametrize("recipe", NEW)
@pytest.mark.parametrize("size", [1, (1, 7), (4, 1), (2, 2)], ids=str)
def test_the_smallest_pictures_are_pictures(size, recipe):
    convnet = kernel_net(np.eye(3).reshape(1, 1, 3, 3))
    patterns = filter_patterns(convnet, "c1", [0], recipe=recipe, size=size, steps=3)
    assert patterns.images.shape[1:3] == ((size, size) if isinstance(size, int) else size)
    assert patterns.diagnosis == (None,)
    assert patterns.transparency is None or np.isfinite(patterns.transparency).all()


# Cancelling.


@pytest.mark.parametrize("recipe", NEW)
@pytest.mark.parametrize("last", range(1, 5))
def test_cancelling_at_any_step_leaves_the_network_as_it_was(last, recipe):
    convnet = nets.open_net("nested")
    before = [weight.numpy().tobytes() for weight in convnet.model.weights]
    told = []

    def progress(done, total):
        told.append((done, total))
        if done == last:
            raise KeyboardInterrupt

    options = {"recipe": recipe, "steps": 2, "size": 64}
    channels = [*range(6), *range(6)]
    with pytest.raises(KeyboardInterrupt):
        filter_patterns(convnet, "c2", channels, progress=progress, **options)
    assert told == [(i, 4) for i in range(1, last + 1)]
    assert [weight.numpy().tobytes() for weight in convnet.model.weights] == before
    again, fresh = (
        filter_patterns(c, "c2", [1], **options) for c in (convnet, nets.open_net("nested"))
    )
    assert again.images.tobytes() == fresh.images.tobytes()


def test_no_gradient_is_said():
    with pytest.raises(vizlib.UnsupportedModelError, match="whole-number input"):
        filter_patterns(nets.open_net("uint8_input"), "c2", [0])
    assert tf.executing_eagerly()
