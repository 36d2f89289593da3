"""Everything that the library says is told in Chinese, and nothing else is touched."""

import ast
import inspect
import json
import re
import time
import tomllib
from pathlib import Path

import hostile_files
import library_messages as messages
import nets
import numpy as np
import pytest

import vizlib
from pages.ui import retelling
from pages.ui.language import LANGUAGES
from pages.ui.retelling import retold
from vizlib import baselines, errors, faithfulness, fills, rights
from vizlib.dialects import damaged
from vizlib.model_files import read_model_file
from vizlib.strict_json import read_json_object
from vizlib.vetting import vet

CATALOGUE = Path(retelling.__file__).parents[1] / "texts" / "library"
FILES = sorted(CATALOGUE.glob("*.toml"))
ENTRIES = [
    (file.stem, table, entry)
    for file in FILES
    for table, entries in tomllib.loads(file.read_text(encoding="utf-8")).items()
    for entry in entries
]
# What is no sentence without the one that it stands in.
FRAMES = re.compile(r"\W*")
# System, Python, HDF5 and Pillow: they are not at hand to be read.
OTHERS = "system"
# Words that no Chinese sentence has; a single one may be a name, of a layer or an option.
ENGLISH = re.compile(
    r"[a-z]{2,} [a-z]{2,}|\b(the|of|an|and|is|to|with|for|Expected|Received|Use|Save)\b"
)
QUOTED = re.compile(r"'[^']*'")
WORD = re.compile(r"Q\d+")


def is_told(text: str, told: str) -> bool:
    """Whether nothing but names is English any more, and every one of them is still there."""
    left = QUOTED.sub("", told)
    for name in vizlib.HEATMAP_METHODS:
        left = left.replace(name, "")
    lost = [word for word in WORD.findall(text) if word not in told]
    return not ENGLISH.search(left) and not lost and re.search("[一-鿿]", told) is not None


def kinds_of_errors() -> list[str]:
    kinds = [kind for kind in vars(errors).values() if inspect.isclass(kind)]
    return [kind.__name__ for kind in kinds if issubclass(kind, errors.VizlibError)]


@pytest.fixture(autouse=True)
def chinese(monkeypatch):
    monkeypatch.setattr(retelling.language, "current", lambda: "zh")


# All that it can say.


def test_every_message_in_the_source_is_told():
    raised = list(messages.raised(*kinds_of_errors()))
    assert len(raised) > 400
    said = {
        WORD.sub("Q", text): (module, text) for module, text in [*raised, *messages.sentences()]
    }
    untold = {
        (module, bare)
        for bare, (module, text) in said.items()
        if not FRAMES.fullmatch(bare.replace("Q", ""))
        if not is_told(text, retold(text))
        # A part of a message is told with it.
        if not any(bare in other and bare != other for other in said)
    }
    assert untold == set()


def test_every_word_of_a_report_is_told():
    said = {text for _, text in messages.told()}
    assert len(said) > 15
    assert {text for text in said if not is_told(text, retold(text))} == set()


def test_every_kind_of_wrong_value_is_told():
    expected = {text for _, text in messages.raised("WrongValue")}
    assert len(expected) > 10
    for text in expected:
        for combined in (text, f"{text} or a whole number from 2 to 3", f"true or false or {text}"):
            message = str(damaged("Q1/Q2", combined, "Q3"))
            assert is_told(message, retold(message)), retold(message)


@pytest.mark.parametrize(
    "text", ['{"a": 1, "a": 2}', "[NaN]", "1" * 50, "1e999", "[1", '"', "[1,]"]
)
def test_what_is_wrong_with_json_is_told(text):
    with pytest.raises(vizlib.VizlibError) as refusal:
        read_json_object(text.encode(), "the architecture")
    assert is_told(str(refusal.value), retold(str(refusal.value)))


def test_what_was_fetched_wrongly_is_told_with_its_reason():
    [reason] = [text for module, text in messages.raised("OSError") if module == "downloads"]
    message = (
        "The ImageNet weights of VGG16 are not at hand, and could not be fetched. "
        f"https://x.org/a.h5: {reason}. Download https://x.org/a.h5 (553 MB) on a machine that "
        "can, and put it at /tmp/a.h5. Meanwhile 'squeezenet', 'cats-vs-dogs' need no download."
    )
    assert is_told(message, retold(message)), retold(message)


@pytest.mark.parametrize(
    "text",
    [
        *(recipe.title for recipe in vizlib.FILTER_RECIPES.values()),
        *(net.title for net in vizlib.ZOO.values() if " or " in net.title or "," in net.title),
        *sorted({net.origin for net in vizlib.ZOO.values() if "." not in net.origin}),
        *(one.description for one in vizlib.PREPROCESSINGS.values() if "," in one.description),
        *baselines.BASELINES.values(),
        *fills.FILLS.values(),
        *(inspect.getdoc(method).partition("\n")[0] for method in vizlib.HEATMAP_METHODS.values()),
        *("separate process", "time limit"),
        *(name for name in rights._LAYERS if " " in name),
    ],
)
def test_titles_and_descriptions_are_told(text):
    assert is_told(text, retold(text)), retold(text)


# What it has really said.


CORPUS = [
    name
    for name in hostile_files.FILES
    if name.startswith(("zip-", "kind-", "json-", "hdf5-", "legacy-", "config-"))
    if not re.search("bomb|many|deep|hard|cycle", name)
]


def test_every_refusal_of_a_hostile_file_is_told(tmp_path):
    refusals = {}
    for name in CORPUS:
        try:
            vet(read_model_file(hostile_files.write(name, tmp_path)).config)
        except vizlib.VizlibError as error:
            refusals[name] = str(error)
    assert len(refusals) > 80
    assert {name for name, text in refusals.items() if not is_told(text, retold(text))} == set()


PROVOKED = {
    "no photo": lambda: vizlib.load_image(b"%PDF-1.4"),
    "empty photo": lambda: vizlib.load_image(b""),
    "missing photo": lambda: vizlib.load_image("no/such/photo.jpg"),
    "cut photo": lambda: vizlib.load_image(_png()[:3000]),
    "labels": lambda: vizlib.parse_labels('{"cat": 0, "dog": 5}'),
    "no labels": lambda: vizlib.parse_labels(""),
    "network": lambda: vizlib.load_convnet("vgg"),
    "classes": lambda: vizlib.load_convnet("vgg16", classes=3),
    "missing file": lambda: vizlib.load_convnet("no/such/model.keras"),
    "option": lambda: vizlib.ConvNet(nets.functional(), "caffee"),
    "label count": lambda: vizlib.ConvNet(nets.functional(), labels=["a", "b"]),
    "layer": lambda: nets.open_net("functional").layer("conv_9"),
    "class": lambda: vizlib.grad_cam(nets.open_net("functional"), _photo(), class_index=7),
    "no gradient": lambda: vizlib.saliency(nets.open_net("uint8_input"), _photo()),
    "size": lambda: vizlib.filter_patterns(nets.open_net("functional"), "c1", [0], size="x"),
    "channel": lambda: vizlib.filter_patterns(nets.open_net("functional"), "c1", [99]),
    "recipe": lambda: vizlib.filter_patterns(nets.open_net("functional"), "c1", [0], recipe="x"),
    "patch": lambda: vizlib.occlusion(nets.open_net("functional"), _photo(), patch=5000),
    "step": lambda: vizlib.convolution(nets.open_net("functional"), _photo(), "pool"),
    "render": lambda: vizlib.render.overlay(np.zeros(3), np.ones((2, 2))),
    "colours": lambda: vizlib.render.colorize(np.ones((2, 2)), colormap="none"),
    "fraction": lambda: faithfulness.verdict(None, fraction=2),
}


def _photo() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype="uint8")


def _png() -> bytes:
    return vizlib.render.to_png(_photo())


@pytest.mark.parametrize("name", PROVOKED)
def test_a_real_error_is_told(name):
    with pytest.raises(vizlib.VizlibError) as refusal:
        PROVOKED[name]()
    assert is_told(str(refusal.value), retold(str(refusal.value))), retold(str(refusal.value))


def test_a_real_verdict_is_told():
    convnet = nets.open_net("functional")
    heatmap = vizlib.grad_cam(convnet, _photo())
    for test in (faithfulness.deletion, faithfulness.insertion):
        text = faithfulness.verdict(test(convnet, _photo(), heatmap, steps=4, random_maps=2))
        assert is_told(text, retold(text)), retold(text)


def test_a_real_inspection_and_description_are_told():
    convnet = nets.open_net("functional")
    report = vizlib.inspect_preprocessing(convnet, _photo())
    peaks = vizlib.layer_peaks(convnet, "c1", [("a. b.png", _photo())])
    for text in (report.reason, " ".join(report.evidence), peaks.describe(0)):
        assert is_told(text, retold(text)), retold(text)


@pytest.mark.parametrize("box", [None, (0, 0, 9, 9), (0, 0, 56, 40)])
@pytest.mark.parametrize("method", ["Guided backpropagation", "Eigen-CAM"])
def test_a_real_report_is_told(method, box):
    asked = []

    def listen(text: str) -> str:
        asked.append(text)
        return text

    convnet = nets.open_net("functional")
    heatmap = vizlib.HEATMAP_METHODS[method](convnet, _photo())
    tests = [
        test(convnet, _photo(), heatmap, steps=4, random_maps=2)
        for test in (faithfulness.deletion, faithfulness.insertion)
    ]
    vizlib.heatmap_report(
        *(convnet, _photo(), heatmap),
        tests=tests,
        measures=faithfulness.measures(convnet, _photo(), heatmap),
        threshold=0.2,
        box=box,
        script="print()",
        language=vizlib.Language("zh", listen),
    )
    assert {heatmap.caveat, "As Python"} < set(asked)
    names = {"ROAD", "mu-fidelity"}
    assert [text for text in asked if text not in names and not is_told(text, retold(text))] == []


def test_a_language_is_the_visitors_when_they_have_gone(monkeypatch):
    language = retelling.visitors()
    monkeypatch.setattr(retelling.language, "current", lambda: "en")
    assert (language.code, language.tell("The photo")) == ("zh", "照片")
    assert retelling.visitors().code == "en"
    assert retelling.visitors().tell("The photo") == "The photo"


# How it is told.


@pytest.fixture
def catalogue(monkeypatch, tmp_path):
    def use(**tables):
        lines = []
        for table, entries in tables.items():
            for en, zh in entries.items():
                lines += [f"[[{table}]]", f"en = {json.dumps(en)}", f"zh = {json.dumps(zh)}"]
        (tmp_path / "some.toml").write_text("\n".join(lines))
        forget()

    def forget():
        retelling._catalogue.cache_clear()
        retelling.templates.cache_clear()
        retelling._sentences.cache_clear()

    monkeypatch.setattr(retelling, "_LIBRARY", tmp_path)
    yield use
    monkeypatch.undo()
    forget()


def test_english_visitors_get_what_was_said(monkeypatch):
    monkeypatch.setattr(retelling.language, "current", lambda: "en")
    assert retold("Expected an open archive. ") == "Expected an open archive. "


@pytest.mark.parametrize(
    "text",
    ["", "Hello.", "Something else. And more of it! ", "bundled networks", "a {b} %s \\1", " . "],
)
def test_what_is_unknown_stays_as_it_is(text):
    assert retold(text) == text


def test_what_is_known_is_told_between_what_is_not(catalogue):
    catalogue(sentence={"One {a}.": "一{a}。"})
    assert retold("Zero. One two. Three!") == "Zero. 一 two。Three!"


def test_values_are_handed_on_untouched(catalogue):
    catalogue(sentence={"Found {a} in {b}.": "{b}里有{a}。"})
    assert retold("Found {b} in {a} {0} \\g<0> %s.") == "{a} {0} \\g<0> %s 里有{b}。"


def test_a_name_with_full_stops_ends_no_sentence(catalogue):
    catalogue(sentence={"No file {name}.": "没有文件{name}。", "Try again.": "请重试。"})
    assert retold("No file a. b. c.png.") == "没有文件 a. b. c.png。"
    assert retold("No file a.png. Try again.") == "没有文件 a.png。请重试。"


def test_the_longest_known_sentence_goes_first(catalogue):
    catalogue(
        sentence={"No {a}.": "无{a}。", "No {a} today.": "今天无{a}。", "{a} today.": "今天{a}。"}
    )
    assert retold("No photo today.") == "今天无 photo。"


def test_phrases_are_told_where_their_place_is_named(catalogue):
    catalogue(
        sentence={"Got {kind1}, not {kind2}: {name}.": "是{kind1}，不是{kind2}：{name}。"},
        kind={"a photo": "照片", "{kind} inside": "内含{kind}"},
    )
    assert (
        retold("Got a photo inside, not a film: a photo.") == "是内含照片，不是 a film：a photo。"
    )


def test_latin_letters_and_digits_stand_apart_from_chinese(catalogue):
    """As in the texts of the pages; inside a name from outside nothing is changed."""
    catalogue(
        sentence={"{a} of {b} in {c}, {kind}.": "{c}有{b}个JPEG，{a}在32位的{kind}里。"},
        kind={"a file": "文件"},
    )
    assert retold("50% of 3 in a猫b, a file.") == "a猫b 有 3 个 JPEG，50% 在 32 位的文件里。"


def test_sentences_are_told_inside_a_sentence(catalogue):
    catalogue(
        sentence={"It said: {sentences} Sorry.": "它说：{sentences}抱歉。", "No {a}.": "无{a}。"}
    )
    assert retold("It said: No x. No y. Sorry.") == "它说：无 x。无 y。抱歉。"


def test_a_message_with_an_endless_name_is_told():
    name = 100_000 * "x"
    assert retold(f"Cannot read {name}: Permission denied.") == f"无法读取 {name}：没有权限。"


def test_a_title_is_told_as_a_whole_only(catalogue):
    catalogue(title={"bundled": "自带"})
    assert (retold("bundled"), retold("bundled networks")) == ("自带", "bundled networks")


def seconds(text: str) -> float:
    """Shortest of three times that telling a text anew takes."""
    found = []
    for _ in range(3):
        retelling._sentences.cache_clear()
        start = time.process_time()
        retold(text)
        found.append(time.process_time() - start)
    return min(found)


@pytest.mark.parametrize(
    "piece",
    [
        "x",
        "'",
        "Received: . ",
        "Expected a of at most b MiB. Received c, which d. In this one e",
        "The ImageNet weights of a are not at hand, and could not be fetched. ",
        "up to inside in the output of ",
        "a or b; c and d, e at f of g ",
    ],
)
@pytest.mark.parametrize(
    "message",
    [
        "Expected {0} for {0}. Received {0}. Save the model again with "
        'model.save("model.keras") and load that.',
        "Cannot read {0}: {0}.",
        "{0}",
    ],
)
def test_a_long_name_takes_time_in_proportion(message, piece):
    """10 times the length takes 10 times as long, or 100 times where every end is tried."""
    short, long = (message.format((piece * count)[:count]) for count in (5_000, 50_000))
    assert seconds(long) < 30 * seconds(short)


# The catalogue.


@pytest.mark.parametrize(("file", "table", "entry"), ENTRIES)
def test_an_entry_has_all_languages_with_the_same_places(file, table, entry):
    assert entry.keys() == set(LANGUAGES)
    places = [sorted(retelling._BRACES.findall(text)) for text in entry.values()]
    assert all(found == places[0] for found in places)
    assert len(set(places[0])) == len(places[0])
    assert "}{" not in entry["en"]


def test_nothing_stands_in_the_catalogue_twice():
    texts = [(table, entry["en"]) for _, table, entry in ENTRIES]
    assert len(set(texts)) == len(texts)


def test_no_entry_is_left_over():
    """Every stretch of words between two places stands in the source or in a message."""
    texts = [text for _, text in [*messages.raised(*kinds_of_errors()), *messages.sentences()]]
    for tree in messages.trees().values():
        texts += [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
        texts += [
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
    said = "\n".join(texts)
    left = {
        (file, entry["en"])
        for file, _, entry in ENTRIES
        if file != OTHERS
        for words in re.split(r"\{\w+\}| or (?=\{)", entry["en"])
        if words.strip("; ") not in said
    }
    assert left == set()


def test_names_from_outside_are_in_places_without_phrases():
    tables = {table for _, table, _ in ENTRIES}
    assert not tables & {
        "name",
        "label",
        "titles",
        "path",
        "file",
        "value",
        "layer",
        "names",
        "url",
    }
