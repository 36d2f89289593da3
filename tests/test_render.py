"""Arrays to pixels: every channel, zero in its place, colours that can be compared."""

import inspect
import io
import math

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from vizlib import InvalidArgumentError, render


def random_maps(channels: int, *, signed: bool = False, side: tuple[int, int] = (3, 4)):
    rng = np.random.default_rng(channels)
    maps = rng.normal(size=(*side, channels)).astype("float32")
    return maps if signed else np.abs(maps)


def tile(grid: np.ndarray, channel: int, *, height: int, width: int, columns: int) -> np.ndarray:
    top = channel // columns * (height + 1)
    left = channel % columns * (width + 1)
    return grid[top : top + height, left : left + width]


def tiles(grid: np.ndarray, maps: np.ndarray, columns: int) -> np.ndarray:
    """Cut a grid back into its tiles, ``(h, w, channels)``."""
    height, width, channels = maps.shape
    size = {"height": height, "width": width, "columns": min(columns, channels)}
    return np.stack([tile(grid, c, **size) for c in range(channels)], axis=2)


def decoded(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png), formats=["PNG"])


# The grid of all channels.


@pytest.mark.parametrize("channels", [1, 3, 8, 24, 65, 2048])
@pytest.mark.parametrize("columns", [1, 7, 16])
def test_grid_shows_every_channel(channels, columns):
    maps = random_maps(channels)
    grid = render.activation_grid(maps, columns=columns)
    across = min(columns, channels)
    down = math.ceil(channels / across)
    assert grid.dtype == np.uint8
    assert grid.shape == (4 * down - 1, 5 * across - 1)
    expected = np.rint(255 * maps / maps.max(axis=(0, 1)))
    assert np.array_equal(tiles(grid, maps, columns), expected)


def test_grid_has_sixteen_columns_unless_told():
    assert render.activation_grid(random_maps(24)).shape == (2 * 4 - 1, 16 * 5 - 1)


def test_grid_is_dark_between_tiles_and_after_the_last():
    grid = render.activation_grid(np.ones((2, 2, 3)), columns=2)
    assert grid.tolist() == [
        [255, 255, 0, 255, 255],
        [255, 255, 0, 255, 255],
        [0, 0, 0, 0, 0],
        [255, 255, 0, 0, 0],
        [255, 255, 0, 0, 0],
    ]


def test_grid_scales_by_channel_or_by_layer():
    maps = np.zeros((1, 1, 2))
    maps[..., 0], maps[..., 1] = 1, 4
    assert render.activation_grid(maps).tolist() == [[255, 0, 255]]
    assert render.activation_grid(maps, scaling="layer").tolist() == [[64, 0, 255]]


def test_grid_keeps_zero_black_where_nothing_is_negative():
    maps = np.array([[[0.0, 5.0], [2.0, 6.0]]])
    grid = render.activation_grid(maps)
    assert tiles(grid, maps, 16)[0].tolist() == [[0, 212], [255, 255]]


@pytest.mark.parametrize("scaling", ["channel", "layer"])
def test_grid_puts_zero_at_128_where_something_is_negative(scaling):
    maps = np.array([[[0.0, 0.0], [-2.0, 0.0], [2.0, 0.0], [1.0, 0.0]]])
    grid = tiles(render.activation_grid(maps, scaling=scaling), maps, 16)[0]
    assert grid[:, 0].tolist() == [128, 1, 255, 192]
    assert grid[:, 1].tolist() == [128] * 4


def test_grid_shows_dead_channels_in_one_shade_without_warnings():
    maps = random_maps(3)
    maps[..., 1] = 0
    for scaling in ("channel", "layer"):
        assert not tiles(render.activation_grid(maps, scaling=scaling), maps, 16)[..., 1].any()
    assert not render.activation_grid(np.zeros((3, 4, 8))).any()


def test_grid_draws_what_is_not_finite_as_zero():
    maps = np.array([[[np.nan], [np.inf], [-np.inf], [3.0]]])
    assert render.activation_grid(maps).tolist() == [[0, 0, 0, 255]]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32", "uint8", "bool"])
def test_grid_takes_any_numbers(dtype):
    maps = np.array([[[0], [1]]]).astype(dtype)
    assert render.activation_grid(maps).tolist() == [[0, 255]]


@pytest.mark.parametrize("shape", [(4, 4), (1, 4, 4, 3), (4, 4, 0), (0, 4, 3), ()])
def test_grid_refuses_other_shapes(shape):
    with pytest.raises(InvalidArgumentError, match=r"\(h, w, channels\)"):
        render.activation_grid(np.zeros(shape))


def test_grid_refuses_bad_options():
    with pytest.raises(InvalidArgumentError, match="'both'"):
        render.activation_grid(np.ones((2, 2, 2)), scaling="both")
    with pytest.raises(InvalidArgumentError, match="columns"):
        render.activation_grid(np.ones((2, 2, 2)), columns=0)


# Colours.


@pytest.mark.parametrize("lowest", [0, -1])
def test_a_tile_is_that_of_the_grid(lowest):
    maps = np.random.default_rng(0).uniform(lowest, 1, (5, 7, 3)).astype("float32")
    maps[..., 1] = np.abs(maps[..., 1])
    grid = render.activation_grid(maps, columns=3)
    for channel in range(3):
        tile = render.activation_tile(maps[..., channel], signed=lowest < 0)
        assert (tile == grid[:, channel * 8 : channel * 8 + 7]).all()


def test_a_tile_with_negative_values_is_signed_untold():
    assert render.activation_tile([[-2.0, 0.0, 1.0]]).tolist() == [[1, 128, 192]]
    assert render.activation_tile([[0.0, 1.0]]).tolist() == [[0, 255]]
    assert render.activation_tile([[0.0, 1.0]], signed=True).tolist() == [[128, 255]]


def test_a_tile_is_brought_to_size_as_numbers():
    """Means of places where it shrinks, and what is between them where it grows."""
    values = np.array([[0.0, 4.0, 8.0, 8.0], [0.0, 4.0, 8.0, 8.0]])
    assert render.activation_tile(values, size=(1, 2)).tolist() == [[64, 255]]
    assert render.activation_tile([[0.0, 1.0]], size=(1, 4)).tolist() == [[0, 64, 191, 255]]


def test_a_tile_of_nothing_and_of_what_is_not_finite_is_zero():
    assert render.activation_tile(np.zeros((2, 2))).tolist() == [[0, 0], [0, 0]]
    assert render.activation_tile([[np.nan, np.inf, 1.0]]).tolist() == [[0, 0, 255]]
    with pytest.raises(InvalidArgumentError, match="Expected values"):
        render.activation_tile(np.zeros((2, 2, 2)))


def test_colorize_looks_the_palette_up():
    values = np.array([[0, 1], [2, 4]])
    expected = render.palette("viridis")[[[0, 64], [128, 255]]]
    assert np.array_equal(render.colorize(values), expected)


def test_palettes_are_matplotlibs_in_the_order_red_green_blue():
    assert render.palette("jet")[0].tolist() == [0, 0, 127]
    assert render.palette("jet")[255].tolist() == [127, 0, 0]
    assert render.palette("viridis")[[0, 255]].tolist() == [[68, 1, 84], [253, 231, 36]]
    # Matplotlib rounds down, so some greys are one darker.
    assert np.abs(render.palette("gray") - np.arange(256)[:, None]).max() <= 1


@pytest.mark.parametrize("size", [(9, 14), (40, 7), (1, 1), (224, 224)])
def test_colorize_resizes_numbers_then_colours(size):
    values = np.random.default_rng(3).random((5, 4)).astype("float32")
    resized = cv2.resize(values, size[::-1], interpolation=cv2.INTER_LINEAR)
    levels = np.rint(255 * resized / resized.max()).astype(int)
    assert np.array_equal(render.colorize(values, size=size), render.palette("viridis")[levels])


def test_colours_are_never_mixed_by_resizing():
    # Halfway between the ends of jet lies green; mixing blue and red would give purple.
    values = np.array([[0.0, 1.0]])
    picture = render.colorize(values, colormap="jet", size=(1, 9))
    mixed = cv2.resize(render.colorize(values, colormap="jet"), (9, 1))
    middle = picture[0, 4].astype(int)
    assert middle[1] > middle[0]
    assert middle[1] > middle[2]
    assert np.abs(middle - mixed[0, 4]).max() > 100
    known = {tuple(colour) for colour in render.palette("jet")}
    assert {tuple(pixel) for pixel in picture.reshape(-1, 3)} <= known


def test_limit_gives_several_pictures_one_scale():
    weak, strong = np.array([[0.0, 1.0]]), np.array([[0.0, 2.0]])
    assert np.array_equal(render.colorize(weak), render.colorize(strong))
    shared = [render.colorize(v, colormap="gray", limit=2)[0, 1, 0] for v in (weak, strong)]
    assert shared == [128, 255]
    assert render.colorize(strong, colormap="gray", limit=1)[0, 1, 0] == 255


@pytest.mark.parametrize("colormap", render.DIVERGING)
def test_diverging_maps_have_zero_in_the_middle(colormap):
    values = np.array([[-4.0, 0.0, 2.0, 4.0]])
    colours = render.palette(colormap)[[0, 128, 191, 255]]
    assert np.array_equal(render.colorize(values, colormap=colormap)[0], colours)
    positive = render.colorize(np.array([[0.0, 1.0]]), colormap=colormap)
    assert np.array_equal(positive[0], colours[[1, 3]])
    assert np.ptp(colours[1].astype(int)) < 30  # the middle is a grey


@pytest.mark.parametrize("colormap", render.SEQUENTIAL)
def test_sequential_maps_draw_all_below_zero_as_zero(colormap):
    picture = render.colorize(np.array([[-4.0, -0.1, 0.0, 2.0]]), colormap=colormap)
    first, half = render.palette(colormap)[[0, 128]]
    assert np.array_equal(picture[0], [first, first, first, half])


def test_a_map_of_zeros_has_the_colour_of_zero():
    assert (render.colorize(np.zeros((2, 3))) == render.palette("viridis")[0]).all()
    middle = render.colorize(np.zeros((2, 3)), colormap="coolwarm", size=(5, 5))
    assert (middle == render.palette("coolwarm")[128]).all()


def test_colorize_draws_what_is_not_finite_as_zero():
    picture = render.colorize(np.array([[np.nan, np.inf, 1.0]]), colormap="gray")
    assert picture[0, :, 0].tolist() == [0, 0, 255]


def test_colorize_refuses_bad_arguments():
    ones = np.ones((2, 2))
    with pytest.raises(InvalidArgumentError, match=r"viridis.*'no such map'"):
        render.colorize(ones, colormap="no such map")
    for limit in (0, -1, math.nan, math.inf):
        with pytest.raises(InvalidArgumentError, match="limit"):
            render.colorize(ones, limit=limit)
    for shape in ((2, 2, 3), (4,), (0, 4)):
        with pytest.raises(InvalidArgumentError, match=r"\(h, w\)"):
            render.colorize(np.ones(shape))
    with pytest.raises(InvalidArgumentError, match="size"):
        render.colorize(ones, size=(0, 5))


def test_resize_map_is_float_and_keeps_signs():
    values = np.array([[-1.0, 1.0]])
    resized = render.resize_map(values, (3, 8))
    assert resized.shape == (3, 8)
    assert resized.dtype == np.float32
    assert resized[0, 0] == -1
    assert resized[0, -1] == 1
    assert abs(resized.sum()) < 1e-5


# Overlay.


def test_overlay_blends_exactly():
    photo = np.array([[[100, 0, 255], [100, 0, 255]], [[100, 0, 255], [7, 8, 9]]], "uint8")
    values = np.array([[0, 1], [2, 4]])  # greys 0, 64, 128, 255
    blended = render.overlay(photo, values, alpha=0.25, colormap="gray")
    assert blended.dtype == np.uint8
    assert blended.tolist() == [
        [[75, 0, 191], [91, 16, 207]],
        [[107, 32, 223], [69, 70, 70]],
    ]


def test_overlay_is_inferno_at_two_fifths_unless_told():
    photo = np.full((2, 2, 3), 50, "uint8")
    blended = render.overlay(photo, np.ones((2, 2)))
    assert (blended == np.rint(0.6 * 50 + 0.4 * np.array([252, 255, 164]))).all()


def test_a_zero_map_leaves_the_photo_as_a_copy(photo):
    for zero in (np.zeros((7, 7)), np.full((7, 7), np.nan)):
        same = render.overlay(photo, zero, alpha=0.9)
        assert np.array_equal(same, photo)
        assert not np.shares_memory(same, photo)


def test_red_stays_red():
    photo = np.zeros((6, 6, 3), "uint8")
    photo[..., 0] = 255
    assert np.array_equal(render.overlay(photo, np.zeros((2, 2))), photo)
    values = np.zeros((6, 6))
    values[0, 0] = 1
    blended = render.overlay(photo, values, alpha=0.5, colormap="jet")
    assert blended[5, 5].tolist() == [128, 0, 64]  # half red, half jet's dark blue
    assert blended[0, 0].tolist() == [191, 0, 0]  # half red, half jet's dark red


def test_alpha_at_its_ends(photo):
    values = np.random.default_rng(2).random((5, 7))
    assert np.array_equal(render.overlay(photo, values, alpha=0), photo)
    only_map = render.colorize(values, colormap="inferno", size=photo.shape[:2])
    assert np.array_equal(render.overlay(photo, values, alpha=1), only_map)


@pytest.mark.parametrize("alpha", [-0.1, 1.1, math.nan])
def test_alpha_outside_is_refused(photo, alpha):
    with pytest.raises(InvalidArgumentError, match="alpha"):
        render.overlay(photo, np.ones((2, 2)), alpha=alpha)


def test_overlay_never_stretches_a_faint_photo():
    rng = np.random.default_rng(5)
    photo = rng.integers(100, 111, (20, 30, 3), dtype="uint8")
    values = rng.random((4, 4))
    blended = render.overlay(photo, values, alpha=0.01, colormap="gray")
    assert blended.min() >= 99
    assert blended.max() <= 0.99 * 110 + 0.01 * 255 + 0.5
    bright = np.full((4, 4, 3), 255, "uint8")
    assert (render.overlay(bright, np.ones((2, 2)), alpha=1, colormap="gray") == 255).all()


@pytest.mark.parametrize("size", [(1, 1), (37, 53), (224, 97), (2, 500)])
@pytest.mark.parametrize("grid", [(7, 7), (1, 1), (3, 11)])
def test_overlay_has_the_shape_of_the_photo(size, grid):
    rng = np.random.default_rng(6)
    photo = rng.integers(0, 256, (*size, 3), dtype="uint8")
    values = rng.random(grid)
    blended = render.overlay(photo, values, alpha=0.4, colormap="inferno", limit=0.5)
    colours = render.colorize(values, size=size, colormap="inferno", limit=0.5)
    assert np.array_equal(blended, np.rint(0.6 * photo + 0.4 * colours))


def test_a_map_lands_where_it_belongs_on_a_photo_that_is_not_square():
    photo = np.zeros((10, 40, 3), "uint8")
    values = np.zeros((2, 4))
    values[1, 3] = 1
    blended = render.overlay(photo, values, alpha=1, colormap="gray")[..., 0]
    assert blended[-1, -1] == 255
    assert not blended[:, :20].any()
    assert not blended[:2].any()


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4, 3)),
        np.zeros((4, 4), "uint8"),
        np.zeros((4, 4, 4), "uint8"),
        np.zeros((1, 4, 4, 3), "uint8"),
    ],
)
def test_overlay_refuses_what_is_no_photo(image):
    with pytest.raises(InvalidArgumentError, match="load_image"):
        render.overlay(image, np.ones((2, 2)))


def test_overlay_refuses_maps_with_channels(photo):
    with pytest.raises(InvalidArgumentError, match=r"\(h, w\)"):
        render.overlay(photo, np.ones((2, 2, 3)))


# Montage.


def test_montage_lays_tiles_out_in_rows_with_gaps():
    laid = render.montage([np.full((1, 2), shade, "uint8") for shade in (1, 2, 3)], gap=1)
    assert laid.tolist() == [[1, 1, 0, 2, 2], [0, 0, 0, 0, 0], [3, 3, 0, 0, 0]]
    row = render.montage([np.full((1, 1), shade, "uint8") for shade in (1, 2)], columns=2)
    assert row.tolist() == [[1, 0, 0, 2]]
    dense = render.montage([np.full((1, 1), shade, "uint8") for shade in (1, 2)], columns=1, gap=0)
    assert dense.tolist() == [[1], [2]]


@pytest.mark.parametrize(("count", "down", "across"), [(1, 1, 1), (2, 1, 2), (5, 2, 3), (9, 3, 3)])
def test_montage_is_as_square_as_possible(count, down, across):
    laid = render.montage(np.zeros((count, 4, 6, 3), "uint8"), gap=2)
    assert laid.shape == (6 * down - 2, 8 * across - 2, 3)


def test_montage_keeps_colours():
    colours = np.random.default_rng(8).integers(0, 256, (5, 3, 4, 3), dtype="uint8")
    laid = render.montage(colours, columns=3, gap=1)
    assert laid.dtype == np.uint8
    for i, colour in enumerate(colours):
        top, left = i // 3 * 4, i % 3 * 5
        assert np.array_equal(laid[top : top + 3, left : left + 4], colour)


def test_a_single_tile_is_the_montage():
    only = np.arange(6, dtype="uint8").reshape(2, 3)
    laid = render.montage([only], columns=4)
    assert np.array_equal(laid[:2, :3], only)
    assert not laid[:, 3:].any()
    assert np.array_equal(render.montage([only]), only)
    assert not np.shares_memory(render.montage([only]), only)


def test_montage_refuses_ragged_and_missing_tiles():
    small, large = np.zeros((2, 2), "uint8"), np.zeros((2, 3), "uint8")
    with pytest.raises(InvalidArgumentError, match=r"\(2, 2\), \(2, 3\)"):
        render.montage([small, large])
    with pytest.raises(InvalidArgumentError, match="0 tiles"):
        render.montage([])
    with pytest.raises(InvalidArgumentError, match="columns"):
        render.montage([small], columns=0)


# PNG.


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3), (1, 1), (1, 1, 3)])
def test_png_gives_every_pixel_back(shape):
    pixels = np.random.default_rng(9).integers(0, 256, shape, dtype="uint8")
    assert np.array_equal(np.asarray(decoded(render.to_png(pixels))), pixels)


def test_png_of_a_view_that_is_not_contiguous():
    pixels = np.random.default_rng(9).integers(0, 256, (6, 8, 3), dtype="uint8")
    assert np.array_equal(np.asarray(decoded(render.to_png(pixels[::2, ::-1]))), pixels[::2, ::-1])


def test_png_colours_grey_through_a_palette():
    pixels = np.random.default_rng(4).integers(0, 256, (100, 100), dtype="uint8")
    png = render.to_png(pixels, colormap="magma")
    expected = render.palette("magma")[pixels]
    assert decoded(png).mode == "P"
    assert np.array_equal(np.asarray(decoded(png).convert("RGB")), expected)
    assert 2 * len(png) < len(render.to_png(expected))


def test_png_refuses_what_are_no_pixels():
    for pixels in (np.zeros((4, 4)), np.zeros((4, 4, 4), "uint8"), np.zeros((0, 4), "uint8")):
        with pytest.raises(InvalidArgumentError, match="uint8"):
            render.to_png(pixels)
    with pytest.raises(InvalidArgumentError, match="colormap"):
        render.to_png(np.zeros((4, 4, 3), "uint8"), colormap="jet")


# What holds for all numbers.

#: However busy the machine is.
calmly = settings(deadline=None)

FINITE = st.floats(-1000, 1000, width=32)
MAPS = hnp.arrays("float32", hnp.array_shapes(min_dims=3, max_dims=3, max_side=5), elements=FINITE)
VALUES = hnp.arrays(
    "float32", hnp.array_shapes(min_dims=2, max_dims=2, max_side=6), elements=FINITE
)
#: Multiplying by a power of two changes no digit of a float.
FACTORS = st.integers(-10, 10).map(lambda exponent: 2.0**exponent)


@calmly
@given(MAPS, FACTORS, st.sampled_from(["channel", "layer"]))
def test_the_unit_of_the_maps_does_not_matter(maps, factor, scaling):
    maps = np.rint(maps)
    scaled = render.activation_grid(factor * maps, scaling=scaling)
    assert np.array_equal(scaled, render.activation_grid(maps, scaling=scaling))


@calmly
@given(VALUES, FACTORS, st.sampled_from(["viridis", "coolwarm", "jet"]))
def test_the_unit_of_a_heatmap_does_not_matter(values, factor, colormap):
    values = np.rint(values)
    photo = np.arange(60, dtype="uint8").reshape(4, 5, 3)
    for draw in (
        lambda v: render.colorize(v, colormap=colormap),
        lambda v: render.colorize(v, colormap=colormap, size=(3, 9)),
        lambda v: render.overlay(photo, v, colormap=colormap),
    ):
        assert np.array_equal(draw(factor * values), draw(values))


@calmly
@given(MAPS, MAPS, st.integers(1, 20))
def test_a_channel_does_not_depend_on_its_neighbours(maps, others, columns):
    others = np.resize(np.abs(others), (*maps.shape[:2], others.shape[2]))
    maps = np.abs(maps)
    both = np.concatenate([maps, others], axis=2)
    alone = tiles(render.activation_grid(maps, columns=columns), maps, columns)
    together = tiles(render.activation_grid(both, columns=columns), both, columns)
    assert np.array_equal(alone, together[..., : maps.shape[2]])


@calmly
@given(MAPS)
def test_more_activation_is_never_darker(maps):
    for scaling in ("channel", "layer"):
        grid = tiles(render.activation_grid(maps, scaling=scaling), maps, 16).astype(int)
        for channel in range(maps.shape[2]):
            order = np.argsort(maps[..., channel].ravel(), kind="stable")
            assert (np.diff(grid[..., channel].ravel()[order]) >= 0).all()


@calmly
@given(VALUES, st.floats(0, 1))
def test_a_blend_lies_between_photo_and_colour(values, alpha):
    photo = np.arange(0, 240, 4, dtype="uint8").reshape(4, 5, 3)
    blended = render.overlay(photo, values, alpha=alpha)
    colour = render.colorize(values, colormap="inferno", size=(4, 5)) if values.any() else photo
    assert (blended >= np.minimum(photo, colour)).all()
    assert (blended <= np.maximum(photo, colour)).all()


@calmly
@given(hnp.arrays("float32", (3, 4, 2), elements=st.floats(width=32)))
@example(np.full((3, 4, 2), 3e38, "float32"))
@example(np.full((3, 4, 2), 1e-44, "float32"))
@example(np.resize(np.array([np.inf, -np.inf], "float32"), (3, 4, 2)))
def test_no_number_is_too_strange(maps):
    before = maps.copy()
    assert render.activation_grid(maps).dtype == np.uint8
    assert render.colorize(maps[..., 0], size=(5, 5)).dtype == np.uint8
    assert np.array_equal(maps, before, equal_nan=True)


@pytest.mark.parametrize("spoilt", [False, True], ids=["finite", "not finite"])
def test_no_argument_is_written_to(photo, spoilt):
    maps, values = random_maps(5, signed=True), random_maps(1, signed=True)[..., 0]
    if spoilt:
        maps[0, 0, 0] = values[0, 0] = np.nan
    given = (maps, values, photo)
    before = [array.copy() for array in given]
    made = [
        render.activation_grid(maps),
        render.colorize(values),
        render.colorize(values, size=(9, 9), colormap="seismic", limit=2),
        render.overlay(photo, values),
        render.montage([photo, photo]),
        render.montage([photo]),
        render.resize_map(values, (5, 5)),
        render.resize_map(values, values.shape),
        render.outlined(photo, (0, 0, 2, 2)),
        render.pointed(photo, (1.5, 1.5)),
    ]
    render.to_png(photo)
    render.to_png(photo[..., 0], colormap="turbo")
    for array, kept in zip(given, before, strict=True):
        assert np.array_equal(array, kept, equal_nan=True)
        assert not any(np.shares_memory(array, result) for result in made)


def coloured(picture, color):
    """Rows and columns of all pixels of a colour."""
    return set(map(tuple, np.argwhere((picture == color).all(axis=2)).tolist()))


def test_the_outline_of_a_box_runs_along_its_outermost_pixels():
    grey = np.full((30, 40, 3), 90, "uint8")
    made = render.outlined(grey, (10, 5, 20, 25), color=(255, 160, 0))
    rows, columns = range(5, 25), range(10, 20)
    border = {(y, x) for y in rows for x in columns if y in (5, 24) or x in (10, 19)}
    assert coloured(made, (255, 160, 0)) == border
    edge = {(y, x) for y in range(4, 26) for x in range(9, 21)}
    edge -= {(y, x) for y in range(7, 23) for x in range(12, 18)}
    assert coloured(made, 0) == edge - border
    assert coloured(made, 90) == coloured(grey, 90) - edge


def test_a_point_is_the_middle_of_its_cross():
    grey = np.full((30, 40, 3), 90, "uint8")
    white = coloured(render.pointed(grey, (20.5, 12.5)), 255)
    assert np.mean(list(white), axis=0).tolist() == [12, 20]
    assert {y for y, x in white if x != 20} == {12}


def test_what_is_marked_keeps_its_place_on_a_smaller_photo():
    small, size = np.full((30, 40, 3), 90, "uint8"), (300, 800)
    given = render.outlined(small, (200, 50, 400, 250), size=size)
    np.testing.assert_array_equal(given, render.outlined(small, (10, 5, 20, 25)))
    given = render.pointed(small, (410, 125), size=size)
    np.testing.assert_array_equal(given, render.pointed(small, (20, 12)))


def evenness(colormap):
    """Smallest and largest step of brightness along a colour map, in CIE L* from 0 to 100."""
    colours = (render.palette(colormap) / 255).astype("float32")[None]
    steps = np.diff(cv2.cvtColor(colours, cv2.COLOR_RGB2Lab)[0, ::15, 0])
    return steps.min(), steps.max()


@pytest.mark.parametrize("function", [render.colorize, render.overlay])
def test_the_colours_that_nobody_chose_grow_evenly_in_brightness(function):
    least, most = evenness(inspect.signature(function).parameters["colormap"].default)
    assert 0 < most < 3 * least
    assert evenness("jet")[0] < 0
