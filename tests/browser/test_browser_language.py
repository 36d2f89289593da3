"""The language of a real browser, of the address, and of the page as screen readers find it."""

import pytest
from browser_driver import SlowLine, settle

LANGUAGE = "Language · 语言"


def spoken(visitor) -> str:
    return visitor.page.evaluate("document.documentElement.lang")


def choose_chinese(page):
    page.locator(".st-key-language input").click()
    page.get_by_role("option", name="中文").click()


def test_a_chinese_browser_gets_chinese_until_somebody_chooses(come):
    visitor = come("/?network=cats-vs-dogs&sample=parrot", locale="zh-CN")
    page = visitor.page
    visitor.until(lambda: spoken(visitor) == "zh")
    assert visitor.heading() == "网络怎么说？"
    assert page.title() == "卷积网络看到了什么"
    assert "lang=" not in page.url

    page.get_by_role("link", name="激活", exact=True).click()
    page.wait_for_url("**/activations?*layer=*")
    settle(page)
    visitor.select("亮度", "按层")
    visitor.select(LANGUAGE, "English")
    page.wait_for_url("**lang=en*")
    visitor.until(lambda: spoken(visitor) == "en")
    assert visitor.heading() == "What does a layer see?"
    assert visitor.chosen("Brightness") == "by layer"
    assert visitor.chosen("Sample photo") == "Parrot"

    # The next click sends what the browser shows, and nothing is lost by it.
    visitor.enter("Channel", 3)
    assert visitor.chosen("Brightness") == "by layer"
    assert visitor.chosen("Sample photo") == "Parrot"
    assert "sample=parrot" in page.url

    page.reload()
    settle(page)
    visitor.until(lambda: spoken(visitor) == "en")
    assert visitor.heading() == "What does a layer see?"
    assert "lang=en" in page.url


def test_back_and_forward_lead_over_languages(come):
    visitor = come("/?network=cats-vs-dogs&sample=parrot&lang=zh")
    page = visitor.page
    visitor.until(lambda: spoken(visitor) == "zh")
    visitor.select(LANGUAGE, "English")
    page.wait_for_url("**lang=en*")
    settle(page)
    for move, wanted in ((page.go_back, "zh"), (page.go_forward, "en")):
        move()
        visitor.until(lambda wanted=wanted: spoken(visitor) == wanted)
        settle(page)
        assert f"lang={wanted}" in page.url
        assert "sample=parrot" in page.url


def test_a_click_before_the_new_words_have_come_changes_no_choice(come):
    """It sends the old words, which nobody knows any more."""
    visitor = come("/activations?network=squeezenet&sample=parrot")
    page, line = visitor.page, SlowLine(visitor)
    page.locator(".st-key-order input").click()
    page.get_by_role("option", name="strength").click()
    settle(page)
    line.hold()
    choose_chinese(page)
    line.wait()
    page.get_by_role("link", name="Heatmaps", exact=True).click()
    line.wait()
    page.get_by_role("link", name="Activations", exact=True).click()
    line.let_go()
    page.get_by_role("heading", name="一个层看到了什么？").wait_for()
    settle(page)
    assert visitor.chosen("示例照片") == "鹦鹉"
    assert visitor.chosen("网络").startswith("SqueezeNet 1.1")
    assert visitor.chosen("顺序") == "按强度"
    visitor.forgive("404")
    visitor.forgive(".png")


def test_a_number_entered_while_the_words_change_stays(come):
    visitor = come("/activations?network=squeezenet&sample=parrot&layer=conv1&channel=2")
    page, line = visitor.page, SlowLine(visitor)
    line.hold()
    choose_chinese(page)
    new_words = line.wait()
    number = page.locator("[class*='activation_channel-'] input")
    number.fill("33")
    number.press("Enter")
    line.wait()
    line.hear_the_first(new_words)
    line.let_go()
    page.wait_for_url("**channel=33*")
    settle(page)
    assert visitor.number("通道").input_value() == "33"
    visitor.select("配色", "magma")
    assert "channel=33" in page.url
    visitor.forgive("404")
    visitor.forgive(".png")


def test_a_layer_chosen_before_the_new_words_have_come_is_shown(come):
    visitor = come("/heatmaps?network=squeezenet&sample=parrot&layer=pool3")
    page, line = visitor.page, SlowLine(visitor)
    line.hold()
    choose_chinese(page)
    new_words = line.wait()
    visitor.select("Layer, in the order they run", "fire4_concat")
    line.wait()
    line.hear_the_first(new_words)
    line.let_go()
    page.wait_for_url("**layer=fire4_concat*")
    settle(page)
    assert visitor.chosen("层（按运行顺序）").startswith("fire4_concat ")
    assert visitor.complaints() == []


def test_uploaders_speak_it_too(come):
    """Streamlit has their words in English only; what is drawn instead comes from our texts."""
    visitor = come("/?network=cats-vs-dogs&lang=zh")
    visitor.page.get_by_role("radio", name="上传").click()
    dropzone = visitor.page.get_by_test_id("stFileUploaderDropzone")
    dropzone.wait_for()

    def drawn(selector: str) -> str:
        found = dropzone.locator(selector)
        return found.evaluate("one => getComputedStyle(one, '::after').content")

    assert drawn("button p") == '"上传"'
    assert drawn("[data-testid=stFileUploaderDropzoneInstructions] span") == '"每个文件最大 600 MB"'
    visible = dropzone.locator("p, span").evaluate_all(
        "all => all.filter(one => /per file|^Upload$/.test(one.innerText))"
        ".filter(one => getComputedStyle(one).fontSize !== '0px' && !one.children.length).length"
    )
    assert visible == 0


def test_a_report_speaks_it_too(come, tmp_path):
    """The server writes it when it is fetched, outside every visitor's run."""
    page = come("/heatmaps?network=cats-vs-dogs&lang=zh").page
    with page.expect_download() as waiting:
        page.get_by_role("button", name="报告").click()
    assert waiting.value.suggested_filename.endswith(".html")
    waiting.value.save_as(tmp_path / "report.html")
    page.goto((tmp_path / "report.html").as_uri())
    assert page.evaluate("document.documentElement.lang") == "zh"
    assert page.get_by_role("heading").all_inner_texts()[1:] == ["它是怎样生成的", "Python 代码"]
    assert page.get_by_role("img", name="照片", exact=True).evaluate("one => one.complete")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_menu_of_a_small_screen_has_every_page(come, language):
    """Streamlit puts those that do not fit into a menu behind "2 more", out of sight."""
    window = {"width": 1024, "height": 768}
    page = come(f"/?network=cats-vs-dogs&lang={language}", viewport=window).page
    every = page.get_by_test_id("stTopNavLink")
    every.nth(5).wait_for()
    seen = every.and_(page.get_by_role("link"))
    assert seen.count() == every.count() == 6
    assert seen.last.bounding_box()["x"] + seen.last.bounding_box()["width"] < window["width"]


@pytest.mark.parametrize("width", [1280, 390])
def test_languages_stand_in_the_first_row_of_the_sidebar(come, width):
    visitor = come(viewport={"width": width, "height": 800})
    page = visitor.page
    if width < 800:
        page.get_by_test_id("stExpandSidebarButton").click()
    control = page.locator(".st-key-language")
    control.wait_for()
    page.wait_for_function(
        "document.querySelector('.st-key-language').getBoundingClientRect().x > 0"
    )
    box, close = (
        control.bounding_box(),
        page.get_by_test_id("stSidebarCollapseButton").bounding_box(),
    )
    assert box["y"] < close["y"] + close["height"]
    assert box["x"] + box["width"] <= close["x"]
    control.get_by_role("combobox").click()
    page.get_by_role("option", name="中文").click()
    visitor.until(lambda: spoken(visitor) == "zh")


DRAW = """lang => {
  document.documentElement.lang = lang;
  const canvas = document.createElement("canvas");
  document.body.append(canvas);
  const context = canvas.getContext("2d");
  context.font = "32px " + getComputedStyle(document.querySelector(".stApp")).fontFamily;
  context.fillText("输入通道，直方图", 0, 50);
  canvas.remove();
  return canvas.toDataURL();
}"""


def test_chinese_has_chinese_forms_in_what_was_drawn_before_the_language_was_known(come):
    """Tables are drawn into a canvas; where fonts are left to the browser, in Japanese forms."""
    visitor = come("/?network=cats-vs-dogs&lang=zh")
    settle(visitor.page)
    known, earlier = (visitor.page.evaluate(DRAW, language) for language in ("zh", "en"))
    alike = known == earlier  # not compared below: pictures make a message of many pages
    assert alike
