"""The report: whole by itself, true to the arrays, and no place for markup of strangers."""

import base64
import io
import json
import re
from html.parser import HTMLParser

import nets
import numpy as np
import pytest
from PIL import Image

import vizlib
from vizlib import ConvNet, render
from vizlib.reports import heatmap_manifest, heatmap_report

LABELS = ("<script>alert(1)</script>", "a 'quoted' & \"named\" one", "plain")


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype="uint8")


@pytest.fixture(scope="module")
def convnet():
    return ConvNet(nets.functional(), "unit", labels=LABELS, name="<b>mine</b>")


@pytest.fixture(scope="module")
def heatmap(convnet, image):
    return vizlib.grad_cam(convnet, image, class_index=0)


class Page(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def pictures(self) -> list[np.ndarray]:
        sources = [attrs["src"] for tag, attrs in self.tags if tag == "img"]
        png = [base64.b64decode(source.partition(",")[2]) for source in sources]
        return [np.asarray(Image.open(io.BytesIO(one)).convert("RGB")) for one in png]


def test_nothing_is_fetched_and_no_name_is_markup(convnet, image, heatmap):
    html = heatmap_report(convnet, image, heatmap, script="print('<i>')")
    page = Page(html)
    known = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "strong", "figure"}
    known |= {"figcaption", "img", "table", "tr", "td", "br", "pre"}
    assert {tag for tag, _ in page.tags} <= known
    assert not re.search(r"https?://|<link|@import|url\(", html)
    for name in (LABELS[0], "<b>mine</b>", "print('<i>')"):
        assert name in page.text


def test_the_pictures_are_those_of_the_arrays(convnet, image, heatmap):
    photo, over, signed = Page(heatmap_report(convnet, image, heatmap)).pictures()
    np.testing.assert_array_equal(photo, image)
    np.testing.assert_array_equal(over, render.overlay(image, heatmap.positive))
    limit = float(np.abs(heatmap.values).max())
    options = {"colormap": render.DIVERGING[0], "size": image.shape[:2], "limit": limit}
    np.testing.assert_array_equal(signed, render.colorize(heatmap.values, **options))


def test_an_empty_map_says_so(convnet, image, heatmap):
    empty = vizlib.Heatmap(np.zeros((3, 4), "f4"), "Grad-CAM", "c2", 0, 1.0, "Nothing there.")
    page = Page(heatmap_report(convnet, image, empty))
    assert "Nothing there." in page.text
    np.testing.assert_array_equal(page.pictures()[1], image)


def test_tests_are_drawn_with_their_verdicts(convnet, image, heatmap):
    tests = [
        test(convnet, image, heatmap, steps=3, random_maps=2)
        for test in (vizlib.faithfulness.deletion, vizlib.faithfulness.insertion)
    ]
    page = Page(heatmap_report(convnet, image, heatmap, tests=tests))
    assert len(page.pictures()) == 5
    for test in tests:
        assert vizlib.faithfulness.verdict(test) in page.text


def test_measures_stand_in_a_table(convnet, image, heatmap):
    measures = vizlib.faithfulness.measures(convnet, image, heatmap)
    page = Page(heatmap_report(convnet, image, heatmap, measures=measures))
    assert sum(tag == "th" for tag, _ in page.tags) == 6
    for measure in measures:
        numbers = (measure.heatmap, measure.random, measure.centre)
        better = "higher" if measure.higher_is_better else "lower"
        row = "".join([measure.name, *(f"{n:.2f}" for n in numbers), better, measure.meaning])
        assert row in page.text
    assert "blob in the middle" not in Page(heatmap_report(convnet, image, heatmap)).text


def test_the_box_of_a_map_is_drawn_and_held_against_one_given(convnet, image):
    values = np.zeros((3, 4), "f4")
    values[1, 2] = 1
    heatmap = vizlib.Heatmap(values, "Grad-CAM", "c2", 0, 1.0, None)
    box = vizlib.faithfulness.bounding_box(image, heatmap, threshold=0.6)
    over = render.overlay(image, heatmap.positive)

    alone = Page(heatmap_report(convnet, image, heatmap, threshold=0.6))
    assert f"above 60%, {tuple(box)}" in alone.text
    drawn = render.pointed(render.outlined(over, box), (25, 15))
    np.testing.assert_array_equal(alone.pictures()[3], drawn)

    given = (20, 10, 40, 20)
    both = Page(heatmap_report(convnet, image, heatmap, threshold=0.6, box=given))
    shared = vizlib.faithfulness.overlap(box, given)
    assert f"{given}. The brightest point lies in it; a random one does with 17%." in both.text
    assert f"Intersection over union of both boxes: {shared:.2f}." in both.text
    orange = render.outlined(over, given, color=(255, 160, 0))
    drawn = render.pointed(render.outlined(orange, box), (25, 15))
    np.testing.assert_array_equal(both.pictures()[3], drawn)

    only = Page(heatmap_report(convnet, image, heatmap, box=(0, 0, 20, 30)))
    assert "The brightest point does not lie in it; a random one does with 50%." in only.text
    assert "union" not in only.text


def test_a_map_without_evidence_has_no_box(convnet, image):
    empty = vizlib.Heatmap(np.zeros((3, 4), "f4"), "Grad-CAM", "c2", 0, 1.0, None)
    page = Page(heatmap_report(convnet, image, empty, threshold=0.2))
    assert "there is no box around it" in page.text
    np.testing.assert_array_equal(page.pictures()[3], image)
    with pytest.raises(vizlib.InvalidArgumentError, match="holds at least one pixel"):
        heatmap_report(convnet, image, empty, box=(5, 5, 5, 9))


def test_the_manifest_says_all_that_the_map_rests_on(convnet, image, heatmap):
    manifest = heatmap_manifest(convnet, image, heatmap)
    assert json.loads(json.dumps(manifest)) == manifest
    assert manifest["network digest"] == convnet.digest()
    assert (manifest["class"], manifest["class name"]) == (0, LABELS[0])
    assert (manifest["layer"], manifest["method"]) == (heatmap.layer, "Grad-CAM")
    assert manifest["preprocessing"] == "unit"
    assert manifest["versions"]["vizlib"] == vizlib.__version__
    assert set(manifest["versions"]) >= {"keras", "tensorflow", "numpy", "python"}
    other = heatmap_manifest(convnet.reading("tf"), 255 - image, heatmap)
    for fact in ("network digest", "photo digest", "preprocessing"):
        assert other[fact] != manifest[fact]


def test_the_manifest_tells_the_options_of_the_method(convnet, image):
    found = vizlib.rise(convnet, image, class_index=1)
    options = heatmap_manifest(convnet, image, found)["options"]
    assert options["seed"] == 0
    assert not set(options) & {"class_index", "layer", "progress"}
    assert f"seed {options['seed']}" in Page(heatmap_report(convnet, image, found)).text


def test_the_same_question_gives_the_same_page(convnet, image, heatmap):
    test = vizlib.faithfulness.deletion(convnet, image, heatmap, steps=3, random_maps=1)
    one, other = (heatmap_report(convnet, image, heatmap, tests=[test]) for _ in range(2))
    assert one == other
