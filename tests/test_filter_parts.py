"""The parts of the filter recipes: waves, colours, views and steps, against NumPy and Keras."""

import json

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf

from scripts import photo_spectrum
from vizlib.filters import optimisers, spectra, transforms
from vizlib.filters.parameterisations import fourier, phase_waves, phases

SIZES = [(8, 8), (9, 9), (8, 13), (13, 8), (1, 6), (5, 1), (16, 10)]
#: A root of the covariance of red, green and blue in ImageNet, by Lucid.
ROOT = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
ROOT /= np.sqrt((ROOT**2).sum(axis=0)).max()


def logit(pixels):
    unit = np.asarray(pixels, "float64") / 255
    return np.log(unit / (1 - unit))


def apart(pixels):
    """What a picture was before colours were mixed and squeezed, float64 ``(..., c)``."""
    values = logit(pixels)
    return values @ np.linalg.inv(ROOT.T) if values.shape[-1] == 3 else values


def slow_scale(height, width):
    """``sqrt(h w) / f`` of every wave, one by one."""
    scale = np.zeros((height, width // 2 + 1))
    for row in range(height):
        for column in range(width // 2 + 1):
            cycles = min(row, height - row) / height, column / width
            scale[row, column] = 1 / max(np.hypot(*cycles), 1 / max(height, width))
    return scale * np.sqrt(height * width)


# Waves.


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_every_picture_can_be_said_in_waves(size, channels):
    rng = np.random.default_rng(0)
    picture = rng.uniform(20, 235, (2, *size, channels))
    waves = np.fft.rfft2(apart(picture), axes=(1, 2)).transpose(0, 3, 1, 2)
    waves *= 4 / slow_scale(*size)
    parameters = np.stack([waves.real, waves.imag], axis=1).astype("float32")
    found = fourier().picture(tf.constant(parameters), (*size, channels)).numpy()
    np.testing.assert_allclose(found, picture, atol=0.02)


@pytest.mark.parametrize(("row", "column"), [(0, 1), (2, 0), (3, 2), (14, 5)])
def test_a_single_wave_is_a_cosine_as_strong_as_its_frequency_says(row, column):
    height, width = 16, 20
    parameters = np.zeros((1, 2, 1, height, width // 2 + 1), "float32")
    parameters[0, 0, 0, row, column] = 1
    found = logit(fourier().picture(tf.constant(parameters), (height, width, 1)))[0, ..., 0]
    down, right = np.mgrid[:height, :width]
    wave = np.cos(2 * np.pi * (row * down / height + column * right / width))
    cycles = np.hypot(min(row, height - row) / height, column / width)
    pairs = 2 if column else 1  # in the first column each wave stands for itself alone
    strength = pairs / 4 / cycles / np.sqrt(height * width)
    np.testing.assert_allclose(found, strength * wave, atol=1e-5)


def test_the_start_is_nearly_grey_and_falls_off_with_frequency():
    shape = (64, 64, 3)
    starts = [fourier().start(np.random.default_rng(i), shape) for i in range(8)]
    pictures = fourier().picture(tf.constant(np.stack(starts)), shape).numpy()
    assert np.abs(pictures - 127.5).max() < 20
    power = (np.abs(np.fft.rfft2(apart(pictures), axes=(1, 2))) ** 2).mean(axis=(0, 3))
    cycles = np.hypot(np.fft.fftfreq(64)[:, None], np.fft.rfftfreq(64))
    known = cycles > 2 / 64
    slope = np.polyfit(np.log(cycles[known]), np.log(power[known]), 1)[0]
    assert slope == pytest.approx(-2, abs=0.1)


def test_colours_vary_together_as_in_photos():
    shape = (64, 64, 3)
    starts = [fourier().start(np.random.default_rng(i), shape) for i in range(16)]
    values = logit(fourier().picture(tf.constant(np.stack(starts)), shape)).reshape(-1, 3)
    covariance, expected = np.cov(values.T), ROOT @ ROOT.T
    np.testing.assert_allclose(
        covariance / np.trace(covariance), expected / np.trace(expected), atol=0.03
    )


def test_grey_waves_stay_grey_steps_of_one_sign():
    parameters = fourier().start(np.random.default_rng(0), (12, 10, 1))
    assert parameters.shape == (2, 1, 12, 6)
    found = fourier().picture(tf.constant(parameters[None]), (12, 10, 1))
    assert found.shape == (1, 12, 10, 1)


@pytest.mark.parametrize("made", [fourier(), phases(spectra.photo_spectrum)], ids=["f", "p"])
@pytest.mark.parametrize("shape", [(6, 8, 3), (5, 7, 1), (7, 6, 3)], ids=str)
def test_the_gradient_of_a_picture_is_the_slope_of_each_parameter(shape, made):
    rng = np.random.default_rng(0)
    parameters = np.stack([made.start(np.random.default_rng(i), shape) for i in range(2)])
    weights = rng.normal(size=(2, *shape)).astype("float32")
    found = gradient_of(lambda p: tf.reduce_sum(weights * made.picture(p, shape)), parameters)
    for place in rng.permutation(parameters.size)[:25]:
        step = np.zeros(parameters.size, "float32")
        step[place] = 1e-2
        ends = [
            float((weights * made.picture(tf.constant(p), shape).numpy()).sum(dtype="float64"))
            for p in (parameters + sign * step.reshape(parameters.shape) for sign in (1, -1))
        ]
        slope = (ends[0] - ends[1]) / 2e-2
        assert found.ravel()[place] == pytest.approx(slope, rel=0.02, abs=0.05)


def gradient_of(function, value):
    value = tf.constant(value)
    with tf.GradientTape() as tape:
        tape.watch(value)
        result = function(value)
    return tape.gradient(result, value).numpy()


# Waves of fixed strength.


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("parameterisation", [fourier(), phases(spectra.photo_spectrum)])
def test_gradients_in_a_graph_are_those_of_tensorflow(parameterisation, size):
    shape = (*size, 3)
    rng = np.random.default_rng(0)
    start = tf.constant(parameterisation.start(rng, shape)[None])
    weights = rng.normal(size=(1, *shape)).astype("float32")

    def score(parameters):
        return tf.reduce_sum(parameterisation.picture(parameters, shape) * weights)

    with tf.GradientTape() as tape:
        tape.watch(start)
        plain = score(start)
    found = tf.function(lambda given: tf.gradients(score(given), given)[0])(start)
    expected = tape.gradient(plain, start).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("spectrum", [spectra.photo_spectrum, spectra.modelled_spectrum])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_whatever_the_phases_the_strength_is_that_of_the_spectrum(size, channels, spectrum):
    shape = (*size, channels)
    rng = np.random.default_rng(1)
    parameters = rng.normal(0, 5, (3, channels, size[0], size[1] // 2 + 1)).astype("float32")
    picture = phases(spectrum).picture(tf.constant(parameters), shape).numpy()
    found = np.abs(np.fft.rfft2(apart(picture), axes=(1, 2))).transpose(0, 3, 1, 2)
    wanted = np.broadcast_to(spectrum(shape), found.shape)
    np.testing.assert_allclose(found, wanted, rtol=2e-3, atol=2e-3 * wanted.max() + 1e-4)


def test_a_phase_moves_its_wave():
    shape = (8, 8, 1)
    rng = np.random.default_rng(2)
    before = rng.uniform(-3, 3, (1, 1, 8, 5)).astype("float32")
    after = before.copy()
    after[0, 0, 2, 3] += 1
    one, other = (
        np.asarray(tf.complex(*phase_waves(tf.constant(p), spectra.modelled_spectrum, shape)))[0, 0]
        for p in (before, after)
    )
    turned = np.angle(other * one.conj())
    assert turned[2, 3] == pytest.approx(1, abs=1e-4)
    turned[2, 3] = 0
    np.testing.assert_allclose(turned, 0, atol=1e-4)


@pytest.mark.parametrize("spectrum", [spectra.photo_spectrum, spectra.modelled_spectrum])
def test_spectra_have_no_mean_fall_with_frequency_and_are_as_bright_as_photos(spectrum):
    strength = spectrum((96, 96, 3))
    assert strength.shape == (3, 96, 49)
    assert strength.dtype == np.float32
    assert (strength[:, 0, 0] == 0).all()
    assert (strength[:, 1, 1] > 3 * strength[:, 8, 8]).all()
    assert (strength[:, 8, 8] > 3 * strength[:, 40, 40]).all()
    for shape in ((96, 96, 3), (9, 16, 3), (32, 32, 1)):
        assert np.fft.irfft2(spectrum(shape), s=shape[:2]).std() == pytest.approx(1.3, rel=1e-4)


def test_the_model_is_one_over_frequency_exactly():
    strength = spectra.modelled_spectrum((40, 30, 1))[0]
    flat = strength * np.hypot(np.fft.fftfreq(40)[:, None], np.fft.rfftfreq(30))
    np.testing.assert_allclose(flat[flat > 0], flat.max(), rtol=1e-5)


def test_the_script_measures_a_known_spectrum_to_the_colour():
    """Pictures made with a spectrum have it, in cells that are mirrored and blurred a little."""
    side, shape = photo_spectrum.SIDE, (photo_spectrum.SIDE, photo_spectrum.SIDE, 3)
    factors = np.array([0.3, 0.2, 0.1])[:, None, None]
    strength = factors * spectra.one_over_f(shape)
    strength[:, 0, 0] = 0
    starts = [
        phases(lambda _shape: strength).start(np.random.default_rng(i), shape) for i in range(12)
    ]
    made = phases(lambda _shape: strength.astype("float32")).picture(np.stack(starts), shape)
    measured = [photo_spectrum.magnitudes(photo_spectrum.decorrelated(p)) for p in made.numpy()]
    table = photo_spectrum.whitened_quarter(np.mean(measured, axis=0))
    assert table.shape == (3, 33, 33)
    # Through a window, each wave is a sum of neighbours with random phases: of Rayleigh's mean.
    inner = table[:, 2:-2, 2:-2] / (factors * np.sqrt(np.pi) / 2)
    assert side == 128
    np.testing.assert_allclose(inner.mean(axis=(1, 2)), 1, atol=0.1)
    assert inner.std() < 0.15


def test_the_stored_spectrum_is_the_one_that_is_measured():
    stored = json.loads(photo_spectrum.FILE.read_text())["whitened"]
    measured = photo_spectrum.whitened_quarter(photo_spectrum.mean_spectrum())
    np.testing.assert_allclose(stored, measured, atol=2e-4)


def test_the_measured_spectrum_depends_on_cycles_per_pixel_only():
    large, small = (spectra.photo_spectrum((side, side, 3)) for side in (128, 64))
    ratio = large[:, 8:60:2, 8:60:2] / small[:, 4:30, 4:30]
    np.testing.assert_allclose(ratio, ratio[0, 0, 0], rtol=1e-5)


# Views.


def smooth(height=40, width=56):
    noise = np.random.default_rng(0).uniform(0, 255, (height, width, 3)).astype("float32")
    return cv2.GaussianBlur(noise, (0, 0), 3) * 3 - 255


def test_pale_waves_are_shown_with_all_their_contrast():
    develop = phases(spectra.photo_spectrum).develop
    ramp = np.linspace(100, 150, 1001).reshape(1001, 1, 1)
    found = develop(ramp).ravel().astype(int)
    assert (found[:11] == 0).all()
    assert (found[-11:] == 255).all()
    np.testing.assert_allclose(found[10:-10], np.linspace(0, 255, 981), atol=0.51)
    plain = develop(np.full((4, 4, 3), 77.4))
    assert (plain == 77).all()


def by_opencv(picture, matrix):
    size = picture.shape[1], picture.shape[0]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(picture, matrix[:2], size, flags=flags, borderMode=cv2.BORDER_WRAP)


def looked(picture, matrix):
    size = picture.shape[:2]
    view = transforms.shown(matrix, size, size)
    return transforms.look(tf.constant(picture[None]), view, size).numpy()[0]


MATRICES = {
    "moved": transforms.translation(2.5, -1.25),
    "larger": transforms.about_centre(transforms.scaling(0.8), (40, 56)),
    "smaller": transforms.about_centre(transforms.scaling(1.2), (40, 56)),
    "turned": transforms.about_centre(transforms.rotation(10), (40, 56)),
    "all": transforms.robust_view(np.random.default_rng(3), (40, 56)),
    "crop": transforms.random_crop(np.random.default_rng(3), (40, 56)),
}


@pytest.mark.parametrize("name", MATRICES)
def test_a_view_is_what_opencv_resamples(name):
    found, expected = looked(smooth(), MATRICES[name]), by_opencv(smooth(), MATRICES[name])
    assert np.abs(found - expected).max() < 2  # OpenCV rounds places to 1/32 pixel
    assert np.abs(found - smooth()).max() > 10


def test_a_move_by_whole_pixels_goes_on_at_the_other_side():
    picture = smooth()
    found = looked(picture, transforms.translation(3, -2))
    np.testing.assert_allclose(found, np.roll(picture, (2, -3), axis=(0, 1)), atol=1e-3)


def test_every_place_is_seen_as_often_as_any_other_by_a_moved_view():
    size = (24, 40)
    view = transforms.shown(transforms.translation(7.3, -4.6), size, size)
    seen = np.bincount(view.places[:, 1], weights=view.shares, minlength=24 * 40)
    np.testing.assert_allclose(seen, 1, atol=1e-5)


def test_a_quarter_turn_is_that_of_numpy():
    picture = smooth(32, 32)
    matrix = transforms.about_centre(transforms.rotation(90), (32, 32))
    np.testing.assert_allclose(looked(picture, matrix), np.rot90(picture), atol=1e-2)


def test_half_of_each_side_is_shown_twice_as_large():
    picture = smooth(33, 33)
    matrix = transforms.about_centre(transforms.scaling(0.5), (33, 33))
    np.testing.assert_allclose(looked(picture, matrix)[::2, ::2], picture[8:25, 8:25], atol=1e-3)


@pytest.mark.parametrize("name", MATRICES)
def test_the_gradient_of_a_view_is_its_adjoint(name):
    """``<look(x), y> = <x, gradient of y>``."""
    view = transforms.shown(MATRICES[name], (40, 56), (30, 20))
    rng = np.random.default_rng(0)
    pixels, weights = (
        rng.normal(size=(2, *size, 3)).astype("float32") for size in ((40, 56), (30, 20))
    )

    def look(pixels):
        return transforms.look(pixels, view, (30, 20))

    gradient = gradient_of(lambda p: tf.reduce_sum(weights * look(p)), pixels)
    moved = look(tf.constant(pixels)).numpy()
    assert (moved * weights).sum() == pytest.approx((pixels * gradient).sum(), abs=0.05)


def test_a_view_from_anywhere_begins_at_all_places_alike():
    rng = np.random.default_rng(0)
    moves = np.array([transforms.anywhere(rng, (64, 96))[:2, 2] for _ in range(2000)])
    assert (np.abs(moves) <= (48, 32)).all()
    for move, side in zip(moves.T, (96, 64), strict=True):
        counts = np.histogram(move, bins=4, range=(-side / 2, side / 2))[0]
        assert (np.abs(counts - 500) < 100).all()


@pytest.mark.parametrize("size", [(24, 40), (15, 21)])
def test_windows_by_turns_show_all_of_a_picture(size):
    part = transforms.window(size, 2)
    for turn in range(3):
        seen = np.zeros(size)
        for step in range(4 * turn + 1, 4 * turn + 5):
            view = transforms.shown(transforms.by_turns(5, step, size, 2), size, part)
            seen += np.bincount(view.places[:, 1], view.shares, seen.size).reshape(size)
        # Of odd sides the windows overlap by one pixel, which bilinear reading spreads over two.
        assert seen.min() > 1 - 1e-5
        assert seen.sum() == pytest.approx(4 * part[0] * part[1], rel=1e-5)


def test_windows_begin_elsewhere_in_every_turn_and_with_every_seed():
    def corner(seed, step):
        return tuple(transforms.by_turns(seed, step, (64, 64), 2)[:2, 2] % 32)

    corners = [corner(0, step) for step in range(1, 9)]
    assert len({tuple(np.round(c, 6)) for c in corners}) == 2
    assert corner(0, 1) == corner(0, 1) != corner(1, 1)


def test_random_views_stay_within_what_they_promise():
    size = (64, 96)
    rng = np.random.default_rng(0)
    views = [transforms.robust_view(rng, size) for _ in range(300)]
    zoom = np.sqrt([np.linalg.det(v) for v in views])
    turn = np.degrees([np.arctan2(v[1, 0], v[0, 0]) for v in views])
    middle = np.array([47.5, 31.5, 1])
    moved = np.abs([(v @ middle - middle)[:2] for v in views]) / (96, 64)
    for values, low, high in ((zoom, 1 / 1.1, 1 / 0.9), (turn, -10, 10)):
        assert low <= values.min() < low + 0.1 * (high - low)
        assert high - 0.1 * (high - low) < values.max() <= high
    assert 0.03 < moved.max() < (1 / 32 + 1 / 64) * 1.2
    crops = [transforms.random_crop(rng, size) for _ in range(300)]
    corners = np.array([[0, 0, 1], [95, 0, 1], [0, 63, 1], [95, 63, 1.0]]).T
    places = np.array([(c @ corners)[:2] for c in crops])
    assert places[:, 0].min() > -0.5
    assert places[:, 0].max() < 95.5
    assert places[:, 1].min() > -0.5
    assert places[:, 1].max() < 63.5
    parts = np.array([c[0, 0] for c in crops])
    assert 0.6 <= parts.min() < 0.65 < 0.95 < parts.max() <= 1
    assert np.std([(c @ middle - middle)[0] for c in crops]) > 3


# Steps.


@pytest.mark.parametrize(
    ("own", "of_keras"),
    [
        (optimisers.adam(0.05), keras.optimizers.Adam(0.05, epsilon=1e-16)),
        (optimisers.nadam(0.3), keras.optimizers.Nadam(0.3, epsilon=1e-16)),
        (
            optimisers.adam(0.1, beta_1=0.5, beta_2=0.9),
            keras.optimizers.Adam(0.1, 0.5, 0.9, epsilon=1e-16),
        ),
        (
            optimisers.nadam(0.1, beta_1=0.5, beta_2=0.9),
            keras.optimizers.Nadam(0.1, 0.5, 0.9, epsilon=1e-16),
        ),
    ],
    ids=["adam", "nadam", "adam, other betas", "nadam, other betas"],
)
def test_steps_are_those_of_keras_uphill(own, of_keras):
    rng = np.random.default_rng(0)
    start = rng.normal(size=(2, 5)).astype("float32")
    variable, parameters = keras.Variable(start), tf.constant(start)
    moments = tuple(tf.zeros_like(parameters) for _ in range(own.moments))
    for step in range(1, 8):
        gradient = tf.constant(rng.normal(size=(2, 5)).astype("float32"))
        of_keras.apply([-gradient], [variable])
        parameters, moments = own.ascend(parameters, gradient, moments, own.factors(step))
        np.testing.assert_allclose(parameters, variable.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("own", [optimisers.adam(0.05), optimisers.nadam(0.3)], ids=["a", "n"])
def test_a_step_does_not_depend_on_units(own):
    gradient = np.random.default_rng(0).normal(size=(1, 9)).astype("float32")
    steps = [
        own.ascend(0.0, scale * gradient, (0.0, 0.0), own.factors(1))[0] for scale in (1, 1e-9, 1e9)
    ]
    np.testing.assert_allclose(steps[1], steps[0], rtol=1e-3)
    np.testing.assert_allclose(steps[2], steps[0], rtol=1e-3)


def test_a_floor_shortens_the_steps_of_parameters_that_hardly_matter():
    gradient = np.array([[1.0, 1e-3, 1e-7], [2e-5, 2e-8, 2e-12]], "float32")
    moments = tf.zeros((2, 3)), tf.zeros((2, 3))
    plain, floored = (
        np.asarray(own.ascend(tf.zeros((2, 3)), gradient, moments, own.factors(1))[0])
        for own in (optimisers.adam(0.1), optimisers.adam(0.1, floor=0.01))
    )
    np.testing.assert_allclose(plain, 0.1, rtol=1e-4)
    least = 0.01 * gradient.max(axis=1, keepdims=True)
    np.testing.assert_allclose(floored, 0.1 * gradient / (gradient + least), rtol=1e-3)


def test_the_normalised_step_has_its_length_for_each_picture():
    gradient = np.random.default_rng(0).normal(size=(2, 4, 4, 3)) * [[[[1e-3]]], [[[1e3]]]]
    own = optimisers.normalised(7.0)
    after, _ = own.ascend(np.zeros(gradient.shape), gradient, (), own.factors(1))
    np.testing.assert_allclose(np.sqrt((np.asarray(after) ** 2).mean(axis=(1, 2, 3))), 7, rtol=1e-5)
