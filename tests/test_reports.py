"""The report: whole by itself, true to the arrays, and no place for markup of strangers."""

import base64
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import nets
import numpy as np
import pytest
from PIL import Image, ImageColor

import vizlib
from vizlib import ConvNet, render
from vizlib.faithfulness import Curve, PixelTest
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
        self.open: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else "", data))

    @property
    def text(self) -> str:
        return "".join(text for _, text in self.texts)

    def inside(self, *tags: str) -> list[str]:
        return [text for tag, text in self.texts if tag in tags]

    def attributes(self, name: str) -> list[str]:
        return [attrs[name] for _, attrs in self.tags if name in attrs]

    def pictures(self) -> list[np.ndarray]:
        sources = [attrs["src"] for tag, attrs in self.tags if tag == "img"]
        png = [base64.b64decode(source.partition(",")[2]) for source in sources]
        return [np.asarray(Image.open(io.BytesIO(one)).convert("RGB")) for one in png]


@pytest.fixture(scope="module")
def tests(convnet, image, heatmap):
    return [
        test(convnet, image, heatmap, steps=3, random_maps=2)
        for test in (vizlib.faithfulness.deletion, vizlib.faithfulness.insertion)
    ]


@pytest.fixture(scope="module")
def everything(convnet, image, heatmap, tests):
    """All that a report can be given."""
    return {
        "tests": tests,
        "measures": vizlib.faithfulness.measures(convnet, image, heatmap),
        "threshold": 0.2,
        "box": (0, 0, 20, 30),
        "script": "print('<i>')",
    }


def test_nothing_is_fetched_and_no_name_is_markup(convnet, image, heatmap, everything):
    warned = replace(heatmap, diagnosis="<u>", caveat="<u>")
    html = heatmap_report(convnet, image, warned, **everything)
    page = Page(html)
    known = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "strong", "figure"}
    known |= {"figcaption", "img", "table", "tr", "td", "br", "pre", "th", "ul", "li", "span"}
    assert {tag for tag, _ in page.tags} == known
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


def test_tests_are_drawn_with_their_verdicts(convnet, image, heatmap, tests):
    page = Page(heatmap_report(convnet, image, heatmap, tests=tests))
    assert len(page.pictures()) == 5
    for test in tests:
        assert vizlib.faithfulness.verdict(test) in page.text
        alt = f"Chart of the {test.kind} test: the score of the class for this map"
        assert sum(words.startswith(alt) for words in page.attributes("alt")) == 1
    assert page.inside("li") == 2 * ["this map", "random maps", "blob in the middle"]
    words = ["deletion", "score of the class (logits)", "share of the photo"]
    assert page.inside("p") == [*words, "insertion", *words[1:]]


def test_the_curves_are_those_of_the_legend(convnet, image, heatmap):
    fractions = np.array([0, 0.5, 1])
    above, middle, below = (
        Curve(fractions, np.full(3, score), np.full(3, 0.5)) for score in (9.0, 5.0, 1.0)
    )
    test = PixelTest("deletion", "black", above, below, (middle,), 9)
    page = Page(heatmap_report(convnet, image, heatmap, tests=[test]))
    styles = [style.split() for style in page.attributes("style")]
    assert len({line for *_, line, _ in styles}) == 3
    chart = page.pictures()[-1]
    where = [np.argwhere((chart == ImageColor.getrgb(one[-1])).all(-1)) for one in styles]
    assert all(len(places) > 300 for places in where)
    heights = [np.median(places[:, 0]) for places in where]
    assert heights[0] < heights[1] < heights[2]


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


def test_the_same_question_gives_the_same_page(convnet, image, heatmap, tests):
    one, other = (heatmap_report(convnet, image, heatmap, tests=tests) for _ in range(2))
    assert one == other


# In other languages.


def test_english_is_spoken_unless_something_else_is_wanted(convnet, image, heatmap, everything):
    english = heatmap_report(convnet, image, heatmap, **everything)
    same = vizlib.Language("en", lambda text: text)
    assert english == heatmap_report(convnet, image, heatmap, **everything, language=same)
    assert Page(english).attributes("lang") == ["en"]
    assert "What speaks for <script>" in Page(english).text


def test_every_word_is_told_but_names(convnet, image, heatmap, everything):
    silent = vizlib.Language("x-'y'", lambda _text: "¤ & <i>")
    page = Page(heatmap_report(convnet, image, heatmap, **everything, language=silent))
    assert page.attributes("lang") == ["x-'y'"]
    assert page.inside("pre") == [everything["script"]]
    assert set(page.attributes("alt")) == {"¤ & <i>"}
    facts = heatmap_manifest(convnet, image, heatmap)
    names = {f"Grad-CAM: {LABELS[0]}", *(fact for fact in facts.values() if isinstance(fact, str))}
    names |= {f"{library} {version}" for library, version in facts["versions"].items()}
    shown = {text for tag, text in page.texts if tag not in ("style", "pre") and text.strip()}
    left = shown - {"¤ & <i>"} - names
    assert left
    assert all(re.fullmatch(r"-?[\d.]+( x \d+)?", text) for text in left)


def test_pictures_are_the_same_in_all_languages(convnet, image, heatmap, everything):
    other = vizlib.Language("zh", lambda _text: "热力图")
    english, chinese = (
        Page(heatmap_report(convnet, image, heatmap, **everything, **language))
        for language in ({}, {"language": other})
    )
    assert english.attributes("src") == chinese.attributes("src")
