"""The convolution page: one number of a map, and every number it is made of."""

import json
import re
from collections import Counter

import keras
import nets
import numpy as np
import pytest
from app_driver import captions, saved, sentences, upload_model
from keras import layers

import vizlib
from pages.ui import number_grids, window_panels

QUICK = "cats-vs-dogs"


@pytest.fixture(scope="module")
def convnet():
    return vizlib.load_convnet(QUICK)


@pytest.fixture(scope="module")
def image():
    return vizlib.load_image("sample_images/cat-and-dog.jpg")


def at(app, **place):
    for name, value in place.items():
        next(n for n in app.number_input if n.label == name.capitalize()).set_value(value)
    return app.run()


def place_of(app):
    found = {n.label: n.value for n in app.number_input}
    return found["Channel"], found["Row"], found["Column"]


def numbers(app):
    """All that is written in grids and sums."""
    return "".join(html.proto.body for html in app.get("html"))


def sums(app):
    """The lines of the sum, by name, as they are written."""
    cells = r"<td>([^<]+)</td><td class=\"number\">([^<]+)</td>"
    return dict(re.findall(cells, numbers(app)))


def grids(app):
    """Cells of each grid: how they are marked and what they say."""
    found = numbers(app).split('role="img"')[1:]
    return [re.findall(r'class="(cell[^"]*)"[^>]*>([^<]+)<', grid) for grid in found]


def sliding(app):
    component = next(c for c in app.get("bidi_component") if c.key == "convolution_sliding")
    return json.loads(component.proto.json)


def text(app):
    return "\n".join(markdown.value for markdown in app.markdown)


def test_the_sum_is_that_of_the_library_and_of_the_network(dashboard, convnet, image):
    app = dashboard("convolution", layer="conv1", channel="5", row="12", column="20")
    step = vizlib.convolution(convnet, image, "conv1").at(5, 12, 20)
    written = sums(app)
    names = ["red", "green", "blue"]
    assert list(written)[:4] == [*names, "bias"]
    for name, part in zip(names, step.contributions, strict=True):
        assert written[name] == number_grids.signed(part)
    assert written["bias"] == number_grids.signed(step.bias)
    assert written["sum"] == number_grids.plain(step.total)
    assert written["the network itself gives"] == number_grids.plain(step.before)
    assert written["after relu"] == number_grids.plain(step.output)
    given = vizlib.activations(convnet, image, ["conv1"])["conv1"][12, 20, 5]
    assert written["after relu"] == number_grids.plain(given)
    assert any("which is rounding" in caption for caption in captions(app))
    assert not app.warning


def test_a_layer_without_bias_says_so(dashboard):
    link = {"network": "mobilenet-bundled", "layer": "conv1"}
    app = dashboard("convolution", **link, channel="3", row="50", column="60")
    step = vizlib.convolution(
        vizlib.load_convnet("mobilenet-bundled"),
        vizlib.load_image("sample_images/cat-and-dog.jpg"),
        "conv1",
    ).at(3, 50, 60)
    written = sums(app)
    assert list(written) == ["red", "green", "blue", "sum", "the network itself gives"]
    assert written["sum"] == number_grids.plain(step.contributions.sum())
    assert "This layer has no bias." in captions(app)
    app = dashboard("convolution", **link, lang="zh")
    assert "这个层没有偏置。" in captions(app)
    assert "偏置" not in sums(app)


def test_a_bias_of_zero_is_a_term_of_the_sum(dashboard, tmp_path):
    model = keras.Sequential([keras.Input((6, 6, 3)), layers.Conv2D(2, 3, name="zero")])
    app = upload_model(dashboard("convolution"), saved(model, tmp_path))
    assert sums(app)["bias"] == "+0"
    assert not any("no bias" in caption for caption in captions(app))


def test_patch_kernel_and_products_are_written_out(dashboard, convnet, image):
    app = dashboard("convolution", layer="conv1", channel="5", row="0", column="31")
    step = vizlib.convolution(convnet, image, "conv1").at(5, 0, 31)
    found = grids(app)
    for k in range(3):
        parts = step.patch[..., k], step.kernel[..., k], step.products[..., k]
        for grid, part in zip(found[3 * k : 3 * k + 3], parts, strict=True):
            assert [number for _, number in grid] == [number_grids.short(v) for v in part.ravel()]
        hatched = ["padding" in marks for marks, _ in found[3 * k]]
        assert hatched == step.padding.ravel().tolist()
        assert sum(hatched) == 5


def test_of_many_channels_the_strongest_are_shown_and_the_others_summed(dashboard, convnet, image):
    app = dashboard("convolution", layer="conv3", channel="7", row="4", column="4")
    step = vizlib.convolution(convnet, image, "conv3").at(7, 4, 4)
    for count in (3, 5):
        key = next(n for n in app.number_input if n.label == "Input channels in full")
        key.set_value(count).run()
        strongest = step.strongest(count)
        written = sums(app)
        assert list(written)[:count] == [f"input channel {k}" for k in strongest]
        rest = np.delete(step.contributions, strongest).sum()
        assert written[f"and {64 - count} others"] == number_grids.signed(rest)
        assert len(grids(app)) >= 3 * count
    shown = sliding(app)["panels"]
    assert f"channel {strongest[0]} of 64" in shown[1]["title"]


def test_of_one_channel_that_is_left_is_told_in_the_singular(dashboard, tmp_path):
    model = keras.Sequential([keras.Input((6, 6, 3)), layers.Conv2D(4, 1), layers.Conv2D(2, 1)])
    app = upload_model(dashboard("convolution"), saved(model, tmp_path))
    names = [option.partition(" ")[0] for option in app.main.selectbox[0].options]
    app.main.selectbox[0].set_value(names[-1]).run()
    assert "and 1 other" in sums(app)


def test_every_choice_of_a_number_changes_what_is_shown(dashboard):
    app = dashboard("convolution", layer="conv2", channel="1", row="3", column="4")
    for name, value in [("channel", 9), ("row", 11), ("column", 0)]:
        before, pictures = numbers(app), [p["png"] for p in sliding(app)["panels"]]
        at(app, **{name: value})
        assert not app.exception
        assert numbers(app) != before
        assert app.query_params[name] == str(value)
        changed = [a != p["png"] for a, p in zip(pictures, sliding(app)["panels"], strict=True)]
        assert changed[-1] == (name == "channel")
    assert sliding(app)["place"] == [11, 0]


def test_the_address_opens_a_number_and_nonsense_is_ignored(dashboard):
    app = dashboard("convolution", layer="conv2", channel="9", row="3", column="15")
    assert place_of(app) == (9, 3, 15)
    app = dashboard("convolution", layer="conv2", channel="64", row="-1", column="16")
    assert not app.exception
    channel, row, column = place_of(app)
    assert channel in range(64)
    assert row in range(16)
    assert column in range(16)


def test_windows_in_all_pictures_are_those_of_the_number(dashboard, convnet, image):
    app = dashboard("convolution", layer="conv2", channel="1", row="3", column="4")
    photo, taken, given = sliding(app)["panels"]
    work = vizlib.convolution(convnet, image, "conv2")
    field = vizlib.receptive_field(convnet, "conv2")
    for row, column in [(0, 0), (3, 4), (15, 15)]:
        box = work.at(1, row, column).box
        assert taken["down"][row] == [box.top, box.bottom]
        assert taken["across"][column] == [box.left, box.right]
        seen = field.box(row, column)
        assert photo["down"][row] == [seen.top, seen.bottom]
        assert photo["across"][column] == [seen.left, seen.right]
        assert given["down"][row] == [row, row + 1]
    assert taken["padding"] == [1, 1, 1, 1]
    # The photo as it is, the maps as the network sees them.
    assert photo["aspect"] == pytest.approx(image.shape[1] / image.shape[0], rel=0.02)
    assert (photo["smooth"], taken["smooth"], taken["aspect"]) == (True, False, None)
    values = work.outputs[..., 1]
    assert sliding(app)["values"][3 * 16 + 4] == f"{values[3, 4]:.4g}"


def test_the_first_number_is_one_of_a_channel_that_fires_in_few_places(dashboard, convnet, image):
    app = dashboard("convolution", layer="conv1")
    channel, row, column = place_of(app)
    maps = vizlib.activations(convnet, image, ["conv1"])["conv1"]
    assert maps[..., channel].argmax() == row * 32 + column
    # Others have maps that are blank but for a speck.
    strong = [c for c in range(32) if maps[..., c].max() > maps.max() / 2]
    uneven = {c: maps[..., c].std() / maps[..., c].mean() for c in strong}
    assert uneven[channel] > np.median(list(uneven.values()))


def test_a_chinese_visitor_is_told_the_same_numbers(dashboard):
    link = {"layer": "conv2", "channel": "9", "row": "3", "column": "15"}
    english, chinese = (dashboard("convolution", **link, lang=code) for code in ("en", "zh"))
    assert list(sums(chinese).values()) == list(sums(english).values())
    assert list(sums(chinese))[-3:] == ["总和", "网络本身的结果", "经过 relu 后"]
    said = sliding(chinese)["said"]
    assert said["value"] == "行 {row}，列 {column}：{value}"
    assert sliding(english)["said"]["value"] == "row {row}, column {column}: {value}"
    assert [panel["png"] for panel in sliding(chinese)["panels"]] == [
        panel["png"] for panel in sliding(english)["panels"]
    ]


def test_a_window_hard_to_see_has_a_close_up(dashboard):
    app = dashboard("convolution", network="squeezenet", layer="conv1")
    taken, closeup, _ = sliding(app)["panels"]
    assert closeup["closeup"] == 12
    assert closeup["taps"] == [[0, 1, 2], [0, 1, 2]]
    assert closeup["down"] == taken["down"]
    assert closeup["png"] == taken["png"]


def test_pooling_shows_which_number_wins(dashboard, convnet, image):
    app = dashboard("convolution", layer="pool1", channel="2", row="5", column="6")
    step = vizlib.pooling(convnet, image, "pool1").at(2, 5, 6)
    (grid,) = grids(app)
    assert [number for _, number in grid] == [number_grids.short(v) for v in step.patch.ravel()]
    winner = np.ravel_multi_index(step.winner, step.patch.shape)
    assert ["wins" in marks for marks, _ in grid] == [i == winner for i in range(4)]
    assert number_grids.plain(step.output) in numbers(app)
    assert "**Stride** 2" in text(app)


def test_the_mean_of_a_window_is_no_contest(dashboard):
    app = dashboard("convolution", network="mobilenet-bundled", layer="global_average_pooling2d")
    (grid,) = grids(app)
    assert len(grid) == 49
    assert not any("wins" in marks for marks, _ in grid)
    assert "sum / 49 =" in numbers(app)


def test_the_number_is_followed_to_the_next_window(dashboard, image):
    link = {"network": "mobilenet-bundled", "layer": "conv_dw_3"}
    app = dashboard("convolution", **link, channel="3", row="7", column="8")
    net = vizlib.load_convnet("mobilenet-bundled")
    names = ["conv_dw_3_bn", "conv_dw_3_relu"]
    maps = vizlib.activations(net, image, names)
    told = text(app).replace("\\", "")
    for name in names:
        value = number_grids.plain(maps[name][7, 8, 3])
        assert re.search(rf"\*\*{name}\*\* \(\w+\) makes \*\*{re.escape(value)}\*\*", told)
    assert "**conv_pw_3** (Conv2D) takes the whole map next" in told


def test_the_number_is_found_again_in_the_pool(dashboard, convnet, image):
    app = dashboard("convolution", layer="conv1", channel="2", row="11", column="12")
    grid = grids(app)[-1]
    asked = [number for marks, number in grid if "asked" in marks]
    maps = vizlib.activations(convnet, image, ["conv1"])["conv1"]
    assert asked == [number_grids.short(maps[11, 12, 2])]
    assert any("row 5, column 6 of the output" in caption for caption in captions(app))


def test_sizes_are_told_in_numbers(dashboard):
    app = dashboard("convolution", network="mobilenet-bundled", layer="conv1")
    formulas = [latex.value for latex in app.get("latex")] or [m.value for m in app.markdown]
    wanted = r"\left\lfloor\frac{224 + 0 + 1 - 1\cdot(3 - 1) - 1}{2}\right\rfloor + 1 = 112"
    assert any(wanted in formula for formula in formulas)
    assert "0 above and 1 below, 0 on the left and 1 on the right" in text(app)
    assert "one more below and on the right" in text(app)


def upload(dashboard, tmp_path, *stack, size=12):
    nets.seeded()
    image = x = keras.Input((size, size, 3))
    for layer in stack:
        x = layer(x)
    model = nets.randomize_biases(keras.Model(image, x, name="functional"))
    app = upload_model(dashboard("convolution"), saved(model, tmp_path))
    assert not app.exception
    return app


def test_kernels_with_gaps_groups_and_softmax_are_explained(dashboard, tmp_path):
    app = upload(
        dashboard,
        tmp_path,
        layers.ZeroPadding2D(2),
        layers.Conv2D(4, 3, dilation_rate=2, name="gaps"),
        layers.Conv2D(6, 2, groups=2, strides=2, name="groups"),
        layers.DepthwiseConv2D(1, name="deep"),
        layers.Conv2D(3, 1, activation="softmax", name="shares"),
        layers.GlobalAveragePooling2D(),
    )

    def told(layer):
        app.selectbox(key="convolution_layer:functional").set_value(layer).run()
        assert not app.exception
        return text(app)

    names = Counter(box.key for box in app.selectbox)
    assert names["convolution_layer:functional"] == 1
    assert "**Dilation** 2 x 2: the kernel has gaps, and reaches over 5 x 5" in told("gaps")
    assert "has put zeros around the map" in text(app)
    assert "**Groups** 2: each channel of the output reads only the 2 channels" in told("groups")
    assert "**Depthwise**" in told("deep")
    told("shares")
    assert any("softmax makes one number of all 3 channels" in c for c in captions(app))


def colours_of(model, image, name):
    convnet = vizlib.ConvNet(model, "caffe")
    work = vizlib.convolution(convnet, image, name)
    return window_panels.colours(convnet, convnet.layer(name), work)


def test_channels_are_colours_only_where_they_come_from_the_photo(image):
    nets.seeded()
    photo = keras.Input((12, 12, 3), name="image")
    later = layers.Conv2D(3, 1, name="later")
    first = layers.Conv2D(3, 3, name="first")(layers.Rescaling(0.1)(photo))
    model = keras.Model(photo, later(first))
    assert colours_of(model, image, "first") == ["blue", "green", "red"]
    assert colours_of(model, image, "later") is None
    other = keras.Input((12, 12, 5), name="other")
    beside = layers.Conv2D(3, 3, name="beside")(other)
    both = keras.Model([photo, other], layers.Add()([beside, layers.Conv2D(3, 3)(photo)]))
    assert colours_of(both, image, "beside") is None


def test_a_network_without_windows_is_told(dashboard, tmp_path):
    app = upload(dashboard, tmp_path, layers.Conv2DTranspose(3, 3), layers.GlobalAveragePooling2D())
    assert "no layer with a window" in sentences(app)


# Numbers as they are written.


@pytest.mark.parametrize(
    ("value", "written"),
    [
        *[(0.0, "0"), (-0.0, "0"), (1.0, "1.00"), (-12.345, "−12.3"), (219.48, "219")],
        *[(0.12345, "0.123"), (-0.0005, "−0.001"), (1e-5, "1e−5"), (-3.2e8, "−3e8")],
    ],
)
def test_numbers_fit_their_cells(value, written):
    assert number_grids.short(value) == written


def test_letters_stand_out_from_every_colour():
    values = np.linspace(-1, 1, 201)
    for start in range(0, 201, 10):
        drawn = number_grids.grid(values[start : start + 10][None], title="", limit=1)
        found = re.findall(r"rgb\((\d+), (\d+), (\d+)\); color: (#\w+)", drawn)
        for *colour, letters in found:
            dark, bright = sorted([_luminance(colour), 1.0 if letters == "#fff" else 0.0])
            assert (bright + 0.05) / (dark + 0.05) >= 4.5


def _luminance(colour):
    share = np.array(colour, "float64") / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return float(linear @ np.array([0.2126, 0.7152, 0.0722]))


def test_what_nobody_would_read_is_not_written_out():
    drawn = number_grids.grid(np.zeros((22, 22)), title="<window>", limit=0)
    assert "22 x 22 numbers, too many" in drawn
    assert "&lt;window&gt;" in drawn
    assert "cell" not in drawn
