"""*Copy as Python*: the script of every page makes the very bytes that the page offers."""

import contextlib
import io
import re

import nets
import numpy as np
import pytest
from app_driver import (
    ROOT,
    blends,
    fade,
    maps,
    pixels,
    png,
    press,
    saved,
    upload_model,
    upload_photo,
    visit,
    wait,
)

import vizlib


@pytest.fixture
def offered(monkeypatch) -> dict[str, bytes]:
    """Pictures that pages offer for download, by the name of the file."""
    from pages.ui import controls

    found: dict[str, bytes] = {}
    original = controls.download_png

    def note(pixels, name, *, key):
        found[f"{name}.png"] = pixels
        original(pixels, name, key=key)

    monkeypatch.setattr(controls, "download_png", note)
    return found


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run the script of a page in a folder beside the sample photos; gives what it printed."""
    (tmp_path / "sample_images").symlink_to(ROOT / "sample_images")

    def run_script(app) -> str:
        monkeypatch.chdir(tmp_path)
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(app.code[-1].value, "script", "exec"), {"__name__": "script"})
        monkeypatch.chdir(ROOT)
        return printed.getvalue()

    return run_script


def made(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.png")}


def test_the_answers(dashboard, run):
    app = dashboard("network", network="squeezenet")
    first = run(app).splitlines()[0]
    assert first.replace(": ", " · ") == app.get("progress")[0].proto.text.replace("\\", "")


def test_the_layers_with_what_feeds_them(dashboard, run):
    app = dashboard("architecture", network="squeezenet")
    table = app.dataframe[0].value
    photo, *lines = run(app).splitlines()
    assert photo == "input_layer InputLayer (227, 227, 3)  None"
    for line, row in zip(lines, table.itertuples(index=False), strict=True):
        _order, layer, kind, output, _parameters, fed_by, channel = row
        shape = tuple(int(side) for side in output.split(" x "))
        channel = None if channel is None or channel != channel else int(channel)
        written = " ".join(map(str, [layer, kind, shape, fed_by, channel]))
        assert line == written


@pytest.mark.parametrize("order", ["index", "strength"])
def test_the_grid_of_activations(dashboard, run, offered, tmp_path, order):
    app = dashboard("activations")
    app.selectbox(key="order").set_value(order)
    app.selectbox(key="scaling").set_value("layer")
    app.selectbox(key="activation_colours").set_value("magma").run()
    run(app)
    assert made(tmp_path) == offered != {}


@pytest.mark.parametrize(("stitched", "recipe"), [(False, "classic"), (True, "fourier")])
def test_filter_patterns(dashboard, run, offered, tmp_path, stitched, recipe):
    app = dashboard("filters", recipe=recipe)
    app.number_input(key="filter_seed").set_value(3)
    next(n for n in app.number_input if n.label == "Steps").set_value(2)
    next(n for n in app.number_input if n.label == "Side in pixels").set_value(32).run()
    press(app, "Make")
    wait(app, lambda app: app.code)
    app.toggle(key="stitched").set_value(stitched).run()
    offered_grid = {name: png for name, png in offered.items() if "_channel" not in name}
    run(app)
    assert made(tmp_path) == offered_grid != {}


@pytest.mark.parametrize("method", ["Grad-CAM", "Gradient"])
@pytest.mark.parametrize("signed", [False, True])
def test_a_heatmap(dashboard, run, offered, tmp_path, method, signed):
    app = dashboard("heatmaps")
    app.selectbox(key="heatmap_method").set_value(method)
    app.toggle(key="signed").set_value(signed)
    fade(app, 0.7)
    run(app)
    (name,) = made(tmp_path)
    assert made(tmp_path)[name] == offered[name]


def test_a_model_and_a_photo_of_the_visitors_own(dashboard, run, offered, tmp_path):
    content = saved(nets.one_sigmoid(), tmp_path)
    (tmp_path / "it's mine.keras").write_bytes(content)
    (tmp_path / "a photo.png").write_bytes(png(1400, 700))
    app = upload_model(dashboard("heatmaps"), content, "it's mine.keras")
    upload_photo(app, png(1400, 700), "a photo.png")
    run(app)
    written = {name: data for name, data in made(tmp_path).items() if name != "a photo.png"}
    assert written != {}
    assert written.items() <= offered.items()


def test_maps_side_by_side(dashboard, run, tmp_path):
    app = dashboard("heatmaps")
    app.button_group(key="view").set_value("compare").run()
    app.multiselect(key="comparison:methods").set_value(["Grad-CAM", "Gradient"]).run()
    run(app)
    convnet, photo = "cats-vs-dogs", "dog_cat-and-dog"
    assert set(made(tmp_path)) == {
        f"1_{convnet}_Grad-CAM_conv4_{photo}.png",
        f"2_{convnet}_Gradient_input_{photo}.png",
    }
    for shown, (_, scripted) in zip(blends(app), sorted(made(tmp_path).items()), strict=True):
        photo, coloured = (pixels(layer).astype(float) for layer in (shown["photo"], *maps(shown)))
        np.testing.assert_array_equal(pixels(scripted), np.rint((photo + coloured) / 2))


def test_the_verdicts(dashboard, run):
    app = dashboard("heatmaps")
    app.button_group(key="view").set_value("evidence").run()
    wait(app, lambda app: app.success or app.warning)
    told = {box.value for box in (*app.success, *app.warning)}
    assert set(run(app).splitlines()[:2]) == told


def test_measures_and_boxes(dashboard, run):
    app = dashboard("heatmaps", view="evidence", left="5", top="5", right="300", bottom="280")
    wait(app, lambda app: app.table)
    shown = app.table[0].value
    printed = run(app).splitlines()
    for _, row in shown.iterrows():
        own = row["this map"].split()[0]
        random, centre = row["random maps"], row["middle blob"]
        assert f"{row['measure']}: {own}, random {random}, centre {centre}" in printed
    said = " ".join(markdown.value for markdown in app.markdown)
    left, top, right, bottom = re.search(r"from (\d+), (\d+) to (\d+), (\d+)", said).groups()
    assert f"box: Box(left={left}, top={top}, right={right}, bottom={bottom})" in printed
    hit = "does not lie" not in "".join(box.value for box in (*app.success, *app.warning))
    assert f"hit: {hit}" in printed
    shared = next(line for line in printed if line.startswith("overlap: "))
    assert f"**{float(shared.split()[1]):.2f}**" in said


def test_the_best_layer(dashboard, run):
    app = dashboard("heatmaps")
    app.button_group(key="view").set_value("layers").run()
    wait(app, lambda app: app.code)
    best = run(app).splitlines()[-1].removeprefix("best: ")
    assert best in app.success[0].value


@pytest.mark.parametrize("layer", ["conv2", "pool1"])
def test_a_number_of_a_map(dashboard, run, layer):
    app = dashboard("convolution", layer=layer, channel="3", row="0", column="5")
    printed = run(app).replace("-", "−")
    convnet = vizlib.load_convnet("cats-vs-dogs")
    image = vizlib.load_image("sample_images/cat-and-dog.jpg")
    given = vizlib.activations(convnet, image, [layer])[layer][0, 5, 3]
    assert f": {given:.5g}".replace("-", "−") in printed
    shown = "".join(html.proto.body for html in app.get("html"))
    terms = [line.split(": ")[1] for line in printed.splitlines() if line.startswith("input")]
    assert len(terms) == (3 if layer == "conv2" else 0)
    assert all(f">{term}<" in shown for term in terms)


def test_every_page_has_a_script(dashboard):
    app = dashboard()
    for page in ("network", "architecture", "activations", "heatmaps", "convolution"):
        visit(app, page)
        compile(app.code[-1].value, page, "exec")
