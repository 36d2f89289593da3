"""Uploads of strangers against the real server: refused in a sentence, and all else goes on."""

import http.client
import http.server
import io
import re
import threading
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import hostile_files as hostile
import pytest
from browser_driver import (
    Visitor,
    children_of,
    held_readers,
    process_of,
    readers_of,
    resident_bytes,
    settle,
    wait_until,
)
from PIL import Image

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(
    not Path("/proc/self/task").exists(), reason="looks at processes as Linux shows them"
)

MODEL, PHOTO = "Model file", "Photo file"
OWN = "Your own model"
# What no upload may leave in the server: less than the largest of the files, 229 MiB, and far more
# than the 20 MB or so by which the heap grows in pieces.
KEPT_BYTES = 150e6
# One of each way of attacking.
OF_EACH_KIND = (
    "config-lambda-code",
    "config-lambda-code-legacy",
    "config-lambda-foreign-graph",
    "config-lambda-floatx-legacy",
    "config-activation-api",
    "config-os-class",
    "config-torch-legacy",
    "config-vocabulary",
    "config-not-a-model",
    "config-dense-bomb",
    "config-upsampling-bomb-legacy",
    "hdf5-external-link-legacy",
    "hdf5-external-storage",
    "hdf5-virtual-legacy",
    "hdf5-gzip-bomb-legacy",
    "hdf5-cycle",
    "hdf5-plug-in-filter-legacy",
    "hdf5-nan-weights",
    "json-very-deep",
    "json-surrogate",
    "kind-pickle",
    "kind-saved-model",
    "legacy-layer-twice",
    "zip-traversal",
    "zip-symlink",
    "zip-weights-bomb",
    "zip-bomb-that-lies",
    "zip-prefix-zip",
)
# The uploader takes these under another name only, and by nothing else can they be told.
KNOWN_BY_NAME = ("kind-onnx", "kind-protobuf")


@dataclass
class Stranger:
    """A server of somebody else, which notes who comes."""

    address: str
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def stranger() -> Iterator[Stranger]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            noted.asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as host:
        noted = Stranger(f"http://127.0.0.1:{host.server_port}")
        threading.Thread(target=host.serve_forever, daemon=True).start()
        yield noted
        host.shutdown()


@pytest.fixture
def untouched(server, server_folder, tmp_path) -> Iterator[None]:
    """Nothing may be left of the uploads: no child, no file, no payload that ran, no traceback."""
    log = server_folder / "server.log"
    before = log.stat().st_size
    yield
    assert not (tmp_path / hostile.MARKER).exists()
    wait_until(lambda: not children_of(process_of(server)))
    assert list((server_folder / "temporary").iterdir()) == []
    assert "Traceback" not in log.read_bytes()[before:].decode("utf-8", "replace")


def own_model(come, **options) -> Visitor:
    visitor = come("/?network=cats-vs-dogs&sample=cat-and-dog", **options)
    visitor.select("Network", OWN)
    return visitor


def uploadable(name: str, folder: Path) -> Path:
    """A file of the corpus, with one of the endings that the uploader takes."""
    path = hostile.write(name, folder)
    return path if path.suffix in (".keras", ".h5") else path.rename(f"{path}.keras")


def reason_of(name: str) -> str:
    return "another kind" if name in KNOWN_BY_NAME else hostile.FILES[name].reason


def refusal(visitor: Visitor) -> str:
    """The one sentence that is told; it has to be in sight, whole and inside its box."""
    visitor.refusals().first.wait_for()
    settle(visitor.page)
    boxes = visitor.refusals()
    assert boxes.count() == 1
    assert boxes.evaluate("box => box.scrollWidth <= box.clientWidth")
    return boxes.inner_text().strip().split("\n")[-1]


def payload(name: str, content: bytes) -> dict[str, object]:
    return {"name": name, "mimeType": "application/octet-stream", "buffer": content}


def wide_png(height: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, height), (250, 10, 10)).save(buffer, "PNG")
    return buffer.getvalue()


# Models.


@pytest.mark.parametrize(
    "name", ["config-lambda-code", "hdf5-external-link-relative-legacy", "zip-weights-bomb"]
)
def test_a_hostile_model_is_refused_and_the_network_before_stays(
    come, server, untouched, tmp_path, name
):
    secret = "a line of a file that is nobody's business"
    (tmp_path / "secret.h5").write_text(secret)
    visitor = own_model(come)
    before = visitor.bars()
    assert before[0].startswith("dog")
    visitor.upload(MODEL, hostile.write(name, tmp_path))
    assert re.search(f"Expected .*{hostile.FILES[name].reason}", refusal(visitor))
    assert "network chosen before: Cats or dogs" in visitor.sidebar()
    assert visitor.bars() == before
    visitor.go("Heatmaps")
    assert [layer.ndim for layer in visitor.layers()] == [3, 3]
    assert visitor.refusals().count() == 1
    assert secret not in visitor.page.content()
    visitor.upload(MODEL, payload("honest.keras", hostile.honest_keras()))
    visitor.refusals().wait_for(state="detached")
    settle(visitor.page)
    assert [layer.ndim for layer in visitor.layers()] == [3, 3]
    visitor.go("Network")
    assert [bar.split(" · ")[0] for bar in visitor.bars()] == ["class 1", "class 0"]


def refuse_all(visitor: Visitor, names: Iterable[str], folder: Path) -> None:
    """Upload one after the other; each is refused for its own reason, and the page goes on."""
    for name in names:
        path = uploadable(name, folder)
        visitor.upload(MODEL, path)
        visitor.refusals().first.wait_for()
        path.unlink()
        told = visitor.refusals().all_inner_texts()
        assert len(told) == 1, (name, told)
        assert "Expected" in told[0], (name, told)
        assert re.search(reason_of(name), told[0]), (name, told)
        assert visitor.heading() == "What does the network say?"
        visitor.remove(MODEL)


@pytest.mark.slow  # a minute; AppTest does the same in every run
def test_one_of_each_kind_in_one_session(come, server, untouched, tmp_path):
    visitor = own_model(come)
    refuse_all(visitor, OF_EACH_KIND, tmp_path)
    settle(visitor.page)
    assert visitor.bars()[0].startswith("dog")


@pytest.mark.slow
def test_the_whole_corpus_in_one_session(come, server, untouched, tmp_path):
    process = process_of(server)
    visitor = own_model(come)
    refuse_all(visitor, sorted(hostile.FILES)[::5], tmp_path)
    before = resident_bytes(process)
    refuse_all(visitor, sorted(hostile.FILES), tmp_path)
    # The largest one is freed once the browser has taken it back.
    visitor.until(lambda: resident_bytes(process) - before < KEPT_BYTES)
    visitor.go("Heatmaps")
    assert visitor.layers()[1].ndim == 3


def test_files_of_other_endings_are_not_even_sent(come):
    visitor = own_model(come)
    sent: list[str] = []
    visitor.page.on("request", lambda request: sent.append(request.method))
    entrance = visitor.uploader(MODEL).locator("input[type=file]")
    refused = visitor.page.get_by_text("files are not allowed")
    names = ("evil.exe", "model.keras.exe", "weights.pt", "keras", "a.zip")
    for place, name in enumerate(names):
        entrance.set_input_files(payload(name, hostile.honest_keras()))
        refused.nth(place).wait_for()
    assert "PUT" not in sent


# Names, and what a file says of itself.


def markup(address: str) -> tuple[str, ...]:
    """What would be a picture, a link, formatting or a script, were it not for text."""
    return (
        f"![x]({address}/picture)",
        f"[click]({address}/link)",
        f"{address}/bare",
        "<img src=x onerror=document.title='taken'>",
        "**bold** _slanted_ ~~gone~~ `code`",
        ":red[red] :small[small] $x^2$ &lt;",
        ":material/delete: :smile:",
        "# heading",
        "1. item",
    )


DRAWN = (
    "img, a, em, del, code, h1, h2, h3, ul, ol, .katex, .stMarkdownColoredText, strong strong,"
    " [data-testid=stIconMaterial], [data-testid=stMarkdownMaterialIcon], [role=img]"
)


def plain(text: str) -> str:
    """A text as it reads; word joiners are without width, and keep addresses apart."""
    return text.replace("\u2060", "")


def expect_text(box, text: str) -> None:
    """A box holds a text as it is written, with nothing of it drawn."""
    assert plain(text) in plain(box.inner_text())
    body = box.locator("[data-testid=stMarkdownContainer]").last
    found = body.locator(DRAWN).evaluate_all("found => found.map(one => one.outerHTML)")
    assert found == []


@pytest.fixture
def named(come, stranger, untouched, server_folder) -> Iterator[Visitor]:
    """Someone whose files say odd things; in the end no other host was asked for anything."""
    visitor = own_model(come)
    yield visitor
    assert visitor.page.title() == "What a convnet sees"
    assert stranger.asked == []
    assert visitor.outside() == []


def shown_before(visitor: Visitor, name: str):
    """Open a model under a name, take it back, and find what is told of it."""
    told = visitor.page.locator("[data-testid=stSidebar] [data-testid=stCaptionContainer]")
    told = told.filter(has_text="Meanwhile")
    visitor.upload(MODEL, payload(name, hostile.honest_keras()))
    told.wait_for(state="detached")
    assert visitor.refusals().count() == 0
    visitor.remove(MODEL)
    told.wait_for()
    return told


def test_the_name_of_a_model_is_shown_as_it_is_written(named, stranger):
    for name in markup(stranger.address):
        expect_text(shown_before(named, f"{name}.keras"), f"{name}.keras")


def test_the_name_of_a_photo_is_shown_as_it_is_written(named, stranger):
    page = named.page
    page.get_by_role("radio", name="Upload").click()
    for height, name in enumerate(markup(stranger.address), 40):
        named.upload(PHOTO, payload(f"{name}.png", wide_png(height)))
        told = page.locator("[data-testid=stMain] [data-testid=stCaptionContainer]")
        told = told.filter(has_text=f"64 x {height} pixels")
        told.wait_for()
        expect_text(told, f"{name}.png, 64 x {height} pixels")


def test_a_name_never_becomes_a_path(named, server_folder):
    mark = uuid.uuid4().hex
    for name in (f"../../{mark}.keras", f"/tmp/{mark}.keras"):
        expect_text(shown_before(named, name), name)
        places = (ROOT, server_folder / "temporary", Path.home(), Path("/"))
        assert [place / name for place in places if (place / name).exists()] == []
    for place in (ROOT, server_folder):
        assert list(place.rglob(f"*{mark}*")) == []


def test_a_name_can_neither_fill_the_page_nor_turn_the_direction_of_reading(named):
    told = shown_before(named, "n" * 244 + ".keras")
    assert "n" * 20 in told.inner_text()
    assert told.evaluate("box => box.scrollWidth <= box.clientWidth")
    assert len(told.inner_text()) < 200
    told = shown_before(named, "\u202eserak.live.keras").inner_text()
    assert "serak.live.keras" in told
    assert "\u202e" not in told


def saying(text: str) -> dict[str, bytes]:
    """Files that are refused for something that holds the text."""
    config = hostile.json.dumps(hostile.network())[:-1]
    escaped = hostile.json.dumps(text)
    twice = f'{config}, "more": {{{escaped}: 1, {escaped}: 2}}}}'
    padding = hostile.network(padding=text)
    legacy = hostile.hdf5(
        lambda file: (
            hostile.put_legacy(file),
            file.create_dataset(text, data=hostile.np.zeros(3, "c8")),
        )
    )
    return {
        "member": hostile.archive([*hostile.members(), (text, b"harmless")]),
        "key": hostile.archive(hostile.members(twice.encode())),
        "value": hostile.archive(hostile.members(padding)),
        "tensor": legacy,
    }


def test_what_a_refused_file_says_is_not_drawn(named, stranger):
    picture, *others = markup(stranger.address)
    uploads = [(place, picture) for place in ("member", "key", "value", "tensor")]
    for place, text in uploads + [("value", text) for text in others]:
        ending = "h5" if place == "tensor" else "keras"
        named.upload(MODEL, payload(f"model.{ending}", saying(text)[place]))
        named.refusals().first.wait_for()
        expect_text(named.refusals(), text.split("/")[0])
        named.remove(MODEL)


def test_class_names_are_shown_as_they_are_written(named, stranger):
    named.upload(MODEL, payload("honest.keras", hostile.honest_keras()))
    named.page.get_by_text("Class names (optional)").click()
    names = named.page.locator(".st-key-class_names textarea")
    bar = named.page.locator("[data-testid=stMain] [data-testid=stProgress]").first
    for number, text in enumerate(markup(stranger.address)):
        label = f"{text} end{number}"
        names.fill(f"first\n{label}")
        names.press("Control+Enter")
        named.until(lambda number=number: f"end{number}" in bar.inner_text())
        expect_text(bar, label)
    named.go("Heatmaps")
    shown = named.page.locator("[data-testid=stMain] [data-testid=stCaptionContainer]")
    expect_text(shown.filter(has_text="Score of"), f"Score of {label}")


# Several visitors.


def test_one_visitors_slow_file_does_not_keep_another_waiting(come, server, untouched, tmp_path):
    slow, other = own_model(come), come("/?network=cats-vs-dogs&sample=goldfish")
    with held_readers(server) as held:
        slow.upload(MODEL, hostile.write("zip-traversal", tmp_path))
        held.wait_for(1)
        other.go("Heatmaps")
        assert other.layers()[1].ndim == 3
        other.select("Class", "cat")
        held.wait_for(1)
        assert slow.refusals().count() == 0
        assert slow.bars()[0].startswith("dog")
    assert "reaches out of the archive" in refusal(slow)


def test_two_files_at_once_both_end_well(come, server, untouched, tmp_path):
    one, other = own_model(come), own_model(come)
    with held_readers(server) as held:
        one.upload(MODEL, hostile.write("hdf5-external-link-legacy", tmp_path))
        other.upload(MODEL, payload("honest.h5", hostile.honest_h5()))
        held.wait_for(2)
    assert "Received one with a link" in refusal(one)
    other.until(lambda: other.bars()[0].startswith("class"))
    settle(other.page)
    assert other.refusals().count() == 0
    assert one.bars()[0].startswith("dog")


@pytest.mark.slow
def test_of_two_files_of_one_visitor_the_later_counts(come, server, untouched, tmp_path):
    visitor = own_model(come)
    with held_readers(server) as held:
        visitor.upload(MODEL, hostile.write("zip-traversal", tmp_path))
        held.wait_for(1)
        visitor.upload(MODEL, payload("honest.keras", hostile.honest_keras()))
    visitor.until(lambda: visitor.bars()[0].startswith("class"))
    settle(visitor.page)
    assert visitor.refusals().count() == 0


def test_a_tab_closed_while_its_file_is_read_leaves_nothing(come, server, untouched, tmp_path):
    leaving = own_model(come)
    with held_readers(server) as held:
        leaving.upload(MODEL, hostile.write("zip-traversal", tmp_path))
        held.wait_for(1)
        leaving.page.goto("about:blank")
        other = come()
        assert other.bars()[0].startswith("dog")
    wait_until(lambda: not readers_of(process_of(server)))


@pytest.mark.slow
def test_a_reader_that_does_not_end_is_ended(come, server, untouched, tmp_path):
    visitor = own_model(come)
    visitor.page.set_default_timeout(180_000)
    with held_readers(server) as held:
        visitor.upload(MODEL, hostile.write("zip-traversal", tmp_path))
        held.wait_for(1)
        assert "read within 60 seconds" in refusal(visitor)
        assert not readers_of(process_of(server))
    assert visitor.bars()[0].startswith("dog")


# Limits.


def test_a_file_that_is_too_large_is_not_sent(come, tmp_path):
    path = tmp_path / "huge.keras"
    with path.open("wb") as file:
        file.truncate(601 * hostile.MIB)
    visitor = own_model(come)
    sent: list[str] = []
    visitor.page.on("request", lambda request: sent.append(request.method))
    visitor.uploader(MODEL).locator("input[type=file]").set_input_files(path)
    visitor.page.get_by_text("File must be 0.6GB or smaller").wait_for()
    assert "PUT" not in sent
    assert visitor.bars()[0].startswith("dog")


def test_the_server_takes_no_larger_file_from_others_than_browsers(come, server):
    """As a program would send it, with the right to upload that a visitor has."""
    visitor = own_model(come)
    requests: list = []
    visitor.page.on("request", lambda request: requests.append(request))
    visitor.upload(MODEL, payload("honest.keras", hostile.honest_keras()))
    mine = next(request for request in requests if request.method == "PUT")
    headers = {k: v for k, v in mine.all_headers().items() if k[0] != ":"}
    for megabytes, status in ((601 + 2, 413), (1, None)):
        answer = put(mine.url, headers | {"content-length": str(megabytes * hostile.MIB)})
        assert answer == status
    assert visitor.bars()[0].startswith("class")


def put(url: str, headers: dict[str, str]) -> int | None:
    """What the server says to an upload before anything of it is sent; None if it would take it."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=5)
    try:
        connection.putrequest("PUT", parts.path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        return connection.getresponse().status
    except TimeoutError:
        return None
    finally:
        connection.close()


# How it looks.


@pytest.mark.parametrize(
    ("scheme", "width", "height"),
    [("light", 1280, 900), ("dark", 1280, 900), ("light", 390, 844)],
    ids=["light", "dark", "phone"],
)
def test_a_refusal_can_be_read(come, screenshots, tmp_path, scheme, width, height):
    visitor = come(viewport={"width": width, "height": height}, color_scheme=scheme)
    if width < 500:
        visitor.page.get_by_test_id("stExpandSidebarButton").click()
    visitor.select("Network", OWN)
    visitor.upload(MODEL, hostile.write("zip-assets", tmp_path))
    refusal(visitor)
    box = visitor.refusals()
    box.scroll_into_view_if_needed()
    place = box.bounding_box()
    assert place["x"] >= 0
    assert place["x"] + place["width"] <= width
    visitor.page.screenshot(path=str(screenshots / f"refusal-{scheme}-{width}.png"))
