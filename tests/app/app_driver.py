"""What tests do with a dashboard: go, press, upload, wait, and read what is shown."""

# ruff: noqa: TID251 - these tests are about the pages.

import base64
import io
import json
import time
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from PIL import Image
from streamlit.testing.v1 import AppTest

ROOT = Path(__file__).parents[2]
PAGES = ("network", "architecture", "activations", "filters", "heatmaps", "convolution")
# For slow machines; a run that hangs is what it is for.
TIMEOUT = 300
# Small and quick, and answers with one sigmoid unit.
QUICK = "cats-vs-dogs"


def visit(app: AppTest, page: str) -> AppTest:
    """Go to another page; nothing may be reported as an exception on the way."""
    app.switch_page(f"pages/{page}.py").run()
    assert not app.exception
    return app


def pictures(app: AppTest) -> list[str]:
    """What names the pictures in the page: photos, each with the maps over it, then all others."""
    layers = [layer for shown in blends(app) for layer in (shown["photo"], *maps(shown))]
    return layers + [url for image in app.main.get("image") for url in image.value]


def given(app: AppTest, key: str) -> list[dict]:
    """What components are given whose keys begin like this."""
    found = [c for c in app.get("bidi_component") if (c.key or "").startswith(key)]
    return [json.loads(component.proto.json) for component in found]


def blends(app: AppTest) -> list[dict]:
    """What the photos under maps are given."""
    return given(app, "blend")


def maps(shown: dict) -> list[str | None]:
    """The coloured maps over one of these photos."""
    return [one["png"] for one in shown["maps"]]


def pixels(png: bytes | str) -> np.ndarray:
    """What is in a picture, given as a file or as components are."""
    content = base64.b64decode(png) if isinstance(png, str) else png
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def fade(app: AppTest, alpha: float) -> AppTest:
    """Let go of the slider of opacity, which only a browser has."""
    app.session_state["alpha"] = alpha
    return app.run()


def captions(app: AppTest) -> list[str]:
    return [caption.value for caption in app.caption]


def sentences(app: AppTest) -> str:
    """All that is told in boxes, as one text."""
    boxes = (*app.error, *app.warning, *app.info)
    return "\n".join(box.value for box in boxes)


def mosaic(app: AppTest, key: str) -> dict:
    """What the mosaic of a page is given."""
    return given(app, f"{key}_mosaic")[0]


def layer_map(app: AppTest) -> dict:
    """What the drawing of the layers is given."""
    (found,) = [c for c in app.get("bidi_component") if c.key.endswith("_layer_map")]
    return json.loads(found.proto.json)


def wait(app: AppTest, until: Callable[[AppTest], object], seconds: float = 120) -> AppTest:
    """Rerun, as the browser does while a job is at work, until a condition holds."""
    deadline = time.monotonic() + seconds
    while not until(app):
        assert time.monotonic() < deadline, f"Waited in vain. Told: {sentences(app)}"
        time.sleep(0.1)
        app.run()
    assert not app.exception
    return app


def press(app: AppTest, label: str) -> AppTest:
    return next(b for b in app.button if b.label.startswith(label)).click().run()


def saved(model: keras.Model, tmp_path: Path) -> bytes:
    """A model as a visitor would upload it."""
    path = tmp_path / "model.keras"
    with warnings.catch_warnings():
        # Keras 3.15 turns its variables to arrays in a way that NumPy 2 calls outdated.
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        model.save(path)
    return path.read_bytes()


def upload_model(
    app: AppTest, content: bytes, name: str = "mine.keras", *, preprocess: str = "unit"
) -> AppTest:
    app.sidebar.selectbox(key="network").set_value("own").run()
    app.sidebar.selectbox(key="preprocess").set_value(preprocess)
    app.sidebar.file_uploader[0].set_value((name, content, "application/octet-stream"))
    return app.run()


def upload_photo(app: AppTest, content: bytes, name: str = "photo.png") -> AppTest:
    app.sidebar.button_group(key="photo_from").set_value("upload").run()
    app.sidebar.file_uploader[-1].set_value((name, content, "image/png"))
    return app.run()


def png(*size: int, colour: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size or (64, 48), colour).save(buffer, "PNG")
    return buffer.getvalue()


def noise_png(height: int, width: int) -> bytes:
    pixels = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype="uint8")
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def damaged(content: bytes) -> bytes:
    """A model file that is whole as an archive, with weights that are not."""
    broken = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(broken, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name)[:200] if name.endswith(".h5") else old.read(name))
    return broken.getvalue()
