"""Every page in Chinese, and what stays as it was when the language is another one."""

# ruff: noqa: TID251 - these tests are about the pages.

import json
import re
import time

import nets
import pytest
import streamlit as st
from app_driver import PAGES, QUICK, saved, sentences, upload_model, upload_photo, visit, wait
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Dataframe

import vizlib
from pages.ui import session

# Names of networks, layers, methods, recipes, colours, classes, files and code stay as they are.
NAMES = {
    *("convolutional", "base", "bundled", "applications", "keras", "tensorflow", "imagenet"),
    *("python", "numpy", "load", "model", "save", "weights", "to", "json", "html", "png", "npz"),
    *("viridis", "inferno", "magma", "cividis", "jet", "logit", "sigmoid", "softmax", "relu"),
    *("cat", "dog", "gradient", "input", "integrated", "gradients", "guided", "backprop"),
    *("saliency", "occlusion", "rise", "blur", "road", "mu", "fidelity", "language", "english"),
    *("classic", "fourier", "maco", "raw", "unit", "tf", "torch", "caffe", "pixels", "rgb", "bgr"),
    *("conv", "pool", "max", "average", "global", "dense", "layer", "same", "valid", "px"),
}
_CODE = re.compile(r"`[^`]*`|\$[^$]*\$|<[^<>]*>|:material/\w+:")


def english(text: str) -> list[str]:
    """Runs of two English words and more."""
    text = _CODE.sub("", text)
    runs = re.findall(r"[A-Za-z][a-z']+(?:[ ,]+[A-Za-z]?[a-z']+)+", text)
    return [run for run in runs if set(re.findall("[a-z']+", run.lower())) - NAMES]


def chinese(text: str) -> bool:
    return bool(re.search(r"[\u4e00-\u9fff]", text))


@pytest.mark.parametrize("text", ["网络 says so", "Found besides: 无", "it is（x）"])
def test_english_among_chinese_is_found(text):
    assert english(text)


@pytest.mark.parametrize("text", ["Grad-CAM 的热力图", "`model.save` 保存", "conv1  ·  3 x 3 x 8"])
def test_names_among_chinese_are_let_be(text):
    assert not english(text)


def told(app: AppTest) -> list[str]:
    """All that a page says, of what AppTest knows."""
    kinds = ("header", "subheader", "caption", "markdown", "info", "warning", "error", "success")
    texts = [element.value for kind in kinds for element in app.get(kind)]
    widgets = ("selectbox", "button_group", "number_input", "slider", "toggle", "button")
    for widget in (widget for kind in widgets for widget in app.get(kind)):
        texts += [widget.proto.label, widget.proto.help]
    texts += [expander.label for expander in app.expander]
    texts += [heading for table in app.dataframe for heading in headings(table)]
    return [text for text in texts if text]


def headings(table: Dataframe) -> list[str]:
    configured = json.loads(table.proto.columns or "{}")
    return [configured.get(name, {}).get("label", name) for name in map(str, table.value.columns)]


def data_of_components(app: AppTest) -> list[str]:
    """What components of ours draw or tell."""
    told_there = ("alt", "hint", "role", "photo_alt", "map_alt", "title")
    found = []
    for component in app.get("bidi_component"):
        data = json.loads(component.proto.json or "{}")
        found += [data[name] for name in told_there if data.get(name)]
        found += data["labels"] if isinstance(data.get("labels"), list) else []
    return found


VIEWS = {
    "filters": ("several", "channel", "layer", "class"),
    "heatmaps": ("one", "compare", "parts", "layers", "evidence"),
}


@pytest.mark.parametrize(
    ("name", "view"), [(name, view) for name in PAGES for view in VIEWS.get(name, ("",))]
)
def test_a_page_speaks_chinese(dashboard, name, view):
    app = dashboard(name, lang="zh", **({"view": view} if view else {}))
    assert app.query_params.get("view", "") == view
    assert not app.error
    assert chinese(app.header[0].value)
    assert all(chinese(header.value) for header in app.subheader)
    labels = [widget.label for widget in (*app.selectbox, *app.number_input, *app.toggle)]
    assert all(chinese(label) for label in labels)
    assert all(chinese(heading) for table in app.dataframe for heading in headings(table))
    assert [run for text in told(app) + data_of_components(app) for run in english(text)] == []


@pytest.mark.parametrize("preprocess", ["automatic", "unit", "caffe"])
def test_a_model_of_the_visitors_is_judged_in_chinese(dashboard, tmp_path, preprocess):
    content = saved(nets.functional(), tmp_path)
    app = upload_model(dashboard(lang="zh"), content, preprocess=preprocess)
    assert not app.error
    assert [run for text in told(app) for run in english(text)] == []
    assert chinese(sentences(app))


def test_options_of_the_sidebar_are_chinese_and_its_values_are_not(dashboard):
    app = dashboard(lang="zh")
    source = app.sidebar.button_group(key="photo_from")
    assert source.value == "samples"
    assert [option.content for option in source.proto.options] == ["示例", "上传", "相机"]
    assert "猫和狗" in app.sidebar.selectbox(key="sample").options
    assert app.sidebar.selectbox(key="sample").value == "cat-and-dog"
    assert app.query_params["sample"] == "cat-and-dog"


def test_a_report_is_in_the_language_of_whoever_asked_for_it(dashboard, monkeypatch):
    """It is written when it is fetched: that is after the run, and nobody is there to be asked."""
    from pages.ui import controls, language

    reports = []
    monkeypatch.setattr(
        controls, "download_report", lambda html, _name, *, key: reports.append(html)
    )
    app = dashboard("heatmaps", lang="zh")
    dashboard("heatmaps", view="evidence", lang="zh")
    wait(app, lambda _app: len(reports) > 1)
    monkeypatch.setattr(language, "current", lambda: "en")
    for html in (reports[0](), reports[-1]()):
        assert "<html lang='zh'>" in html
        assert not re.search("[\u4e00-\u9fff]", html[html.index("<pre>") :])
        page = html[html.index("<body>") : html.index("<pre>")]
        alts = re.findall("alt='([^']*)'", page)
        assert alts
        assert all(map(chinese, alts))
        assert [run for text in [*re.split("<[^>]*>", page), *alts] for run in english(text)] == []


def test_what_goes_wrong_is_told_in_chinese(dashboard):
    app = upload_photo(dashboard(lang="zh"), b"%PDF-1.4")
    assert chinese(app.error[0].value)
    assert any("目前各页面显示的仍是之前选择的照片" in caption.value for caption in app.caption)


def choose(app: AppTest, language: str) -> AppTest:
    return app.sidebar.selectbox(key="language").set_value(language).run()


def test_another_language_keeps_every_choice(dashboard):
    app = dashboard("activations", network="squeezenet", sample="parrot")
    app.selectbox(key="activations_layer:squeezenet").set_value("fire2_concat").run()
    app.selectbox(key="scaling").set_value("layer").run()
    app.selectbox(key="order").set_value("strength").run()
    app.number_input(key="activation_channel:fire2_concat:128").set_value(7).run()
    chosen = {box.key: box.value for box in app.selectbox}
    english_title, address = app.header[0].value, dict(app.query_params.items())
    for language in ("zh", "en"):
        choose(app, language)
        assert chinese(app.header[0].value) == (language == "zh")
        # As a browser does: it sends the words that it shows, and those are the new ones.
        app.run()
        expected = chosen | {"language": language}
        assert {box.key: box.value for box in app.selectbox} == expected
        assert app.number_input(key="activation_channel:fire2_concat:128").value == 7
        assert dict(app.query_params.items()) == address | {"lang": language}
    assert app.header[0].value == english_title


def test_a_browser_is_told_the_new_words_of_what_is_chosen(dashboard):
    """It keeps the old ones otherwise, and sends them at the next click, when nobody knows them."""
    app = dashboard("activations", sample="parrot")
    app.selectbox(key="scaling").set_value("layer").run()
    choose(app, "zh")
    shown = {box.key: box.proto for box in app.selectbox}
    for key, words in (("scaling", "按层"), ("sample", "鹦鹉"), ("order", "按编号")):
        assert (shown[key].set_value, shown[key].raw_value) == (True, words)
    assert app.session_state["sample"] == "parrot"


def test_new_words_are_told_again_where_the_next_click_came_before_they_were_all_there(
    dashboard, monkeypatch
):
    app = dashboard("activations", sample="parrot")
    with monkeypatch.context() as broken_off:
        broken_off.setattr("pages.ui.controls.heading", lambda *_: st.stop())
        choose(app, "zh")
    visit(app, "heatmaps")
    sample = app.sidebar.selectbox(key="sample").proto
    assert (sample.set_value, sample.raw_value) == (True, "鹦鹉")


def test_a_language_stays_on_all_pages(dashboard):
    app = choose(dashboard(), "zh")
    for page in PAGES[1:3]:
        assert chinese(visit(app, page).header[0].value)
        assert app.query_params["lang"] == "zh"


@pytest.mark.parametrize("wanted", ["xx", "", "ZH", "zh-CN"])
def test_a_language_that_nobody_has_written_is_ignored(dashboard, wanted):
    app = dashboard(lang=wanted)
    assert app.header[0].value == "What does the network say?"
    assert "lang" not in app.query_params
    assert sentences(app) == ""


def test_addresses_mean_the_same_in_all_languages(dashboard):
    link = {"network": "squeezenet", "sample": "goldfish", "layer": "fire2_concat", "channel": "77"}
    addresses = [
        dict(dashboard("activations", lang=language, **link).query_params.items())
        for language in ("en", "zh")
    ]
    assert all(address.items() >= link.items() for address in addresses)


def test_files_and_scripts_are_called_the_same_in_all_languages(dashboard):
    scripts = [dashboard("activations", lang=lang).code[0].value for lang in ("en", "zh")]
    assert scripts[0] == scripts[1]
    assert "cat-and-dog.png" in scripts[0]


def test_a_job_is_told_in_the_language_of_whoever_looks(dashboard, monkeypatch):
    """The worker knows no visitor: what it leaves is told when a page is drawn."""
    from pages.ui import jobs, language

    def fail(_progress):
        raise MemoryError

    job = jobs.Job("key", "title")
    jobs.queue().submit(job, fail)
    deadline = time.monotonic() + 10
    while not job.finished and time.monotonic() < deadline:
        time.sleep(0.01)
    monkeypatch.setattr(language, "current", lambda: "zh")
    assert chinese(job.error())
    monkeypatch.setattr(language, "current", lambda: "en")
    assert job.error() == "There was not enough memory. Choose smaller or fewer pictures."


def test_what_is_kept_for_all_visitors_is_of_no_language(dashboard, monkeypatch):
    """The network looks at the samples once; what they are called is said to each visitor."""
    from pages.ui import computing, language

    chosen = dashboard(sample="parrot").session_state["selection"]
    computing.peaks(QUICK, chosen.photo.key, "conv1", chosen)
    monkeypatch.setattr(vizlib, "layer_peaks", None)
    for wanted, called in (("zh", "金鱼"), ("en", "Goldfish")):
        monkeypatch.setattr(language, "current", lambda wanted=wanted: wanted)
        found = computing.peaks(QUICK, chosen.photo.key, "conv1", chosen)
        patches = computing.patches(QUICK, chosen.photo.key, "conv1", 0, chosen)
        assert called in found.names
        assert called in {patch.name for patch in patches}


def test_what_a_run_that_ends_writes_meanwhile_is_no_harm(monkeypatch):
    """Two runs of one visitor may share their state for a moment; each has a lock of its own."""

    class Shared(dict):
        writing = 3

        def items(self):
            for item in super().items():
                if self.writing:
                    self.writing -= 1
                    self[f"new {self.writing}"] = 0
                yield item

    shared = Shared(layer="conv1", channel=2)
    monkeypatch.setattr(session.st, "session_state", shared)
    assert session.held() == dict(shared)
    assert len(shared) == 5
