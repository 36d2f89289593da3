"""How the visit of many people is judged: what pages must say, and whether memory grows."""

import asyncio
import os
import random
import time

import pytest

from benchmarks import visitors
from benchmarks.visitor import Click, Crowd, captions, controls_on, said, samples
from benchmarks.visitors import at, timing, trend

PARROT = {"sample": "Parrot"}
CONV = {"layer": "vgg16/conv4 · 28 x 28 x 512 · Conv2D"} | PARROT


@pytest.mark.parametrize(
    ("page", "controls", "expected"),
    [
        ("network", PARROT, [["Parrot"]]),
        ("network", {}, [[]]),
        ("activations", CONV, [["conv4", "Parrot"], ["conv4", "Parrot"]]),
        ("activations", CONV | {"channel": "7"}, [["conv4", "Parrot"], ["7", "conv4", "Parrot"]]),
        ("filters", CONV, []),
        (
            "heatmaps",
            CONV | {"method": "LayerCAM", "class": "tench · 1.0%"},
            [["Parrot"], ["LayerCAM", "conv4", "tench", "Parrot"]],
        ),
        (
            "heatmaps",
            CONV | {"method": "Eigen-CAM", "class": "tench · 1.0%"},
            [["Parrot"], ["Eigen-CAM", "conv4", "Parrot"]],
        ),
        (
            "heatmaps",
            CONV | {"method": "RISE", "class": "tench · 1.0%"},
            [["Parrot"], ["RISE", "tench", "Parrot"]],
        ),
    ],
)
def test_pictures_must_name_what_was_chosen(page, controls, expected):
    assert captions(page, controls) == expected


def test_methods_that_look_at_pixels_have_no_layer():
    assert "layer" in controls_on("heatmaps", "Grad-CAM")
    assert "layer" not in controls_on("heatmaps", "RISE")
    assert "layer" in controls_on("activations", "RISE")
    assert controls_on("architecture", None) == ["language", "sample"]


def test_texts_and_samples_are_those_of_the_dashboard():
    assert said("jobs.cancel", "English") == "Cancel"
    assert said("photos.sample.parrot", "中文") == "鹦鹉"
    assert samples()["鹦鹉"] == samples()["Parrot"] == "parrot"


def test_two_pictures_of_the_same_are_told_apart():
    crowd = Crowd()
    assert not crowd.differs(("conv1", "Parrot"), "pixels")
    assert not crowd.differs(("conv1", "Parrot"), "pixels")
    assert not crowd.differs(("conv1", "Goldfish"), "others")
    assert crowd.differs(("conv1", "Parrot"), "others")


noise = random.Random(0)
FULL = [900.0 + 400 * min(1, number / 15) for number in range(60)]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        (FULL, "flat"),
        ([size + noise.uniform(-10, 10) for size in FULL], "flat"),
        ([size + 4 * number for number, size in enumerate(FULL)], "keeps growing"),
        ([900.0 + 40 * number for number in range(8)], "keeps growing"),
        ([900.0 + 40 * number for number in range(7)], "too short to judge"),
        ([*FULL[:45], *(1400.0 for _ in range(15))], "flat"),
        # What is held for an answer, more and more often, but always given back.
        ([size + 40 * (i // 15) * (i % 4 > 0) for i, size in enumerate(FULL)], "flat"),
        ([*reversed(FULL)], "flat"),
    ],
)
def test_memory_that_keeps_growing_is_told_from_caches_that_fill(sizes, expected):
    assert trend(sizes) == expected


def test_memory_is_weighed_only_while_people_click(monkeypatch):
    monkeypatch.setattr(visitors, "SECONDS_BETWEEN_WEIGHINGS", 0.05)
    weighings, begun = [], time.monotonic()
    asyncio.run(asyncio.wait_for(visitors.weigh(os.getpid(), weighings, begun + 0.12), 60))
    assert 1 <= len(weighings) <= 3
    assert all(size > 0 for _, size in weighings)


def test_what_was_weighed_next_to_a_moment():
    weighings = [(0.0, 1), (10.0, 2), (20.5, 3)]
    assert [at(weighings, moment) for moment in (-5, 4, 6, 16, 99)] == [1, 1, 2, 3, 3]


def test_timing_is_by_the_median_and_the_slowest_twentieth():
    clicks = [Click("page", seconds / 100, beside_a_job=False) for seconds in range(1, 101)]
    assert timing(clicks) == "  100 clicks, median 0.51 s, 95th percentile 0.96 s"
    assert timing(clicks[:1]) == "1 clicks"
