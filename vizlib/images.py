"""Picture files from anybody to pixels, safely."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from vizlib.errors import UnreadableImageError

MAX_MEGAPIXELS = 50
MAX_MEGABYTES = 20
#: Passes of a progressive JPEG; cameras and editors write about 10, bombs write thousands.
MAX_JPEG_SCANS = 40

_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
# TIFF, whose grey Pillow leaves as it is stored beyond 8 bits.
_TIFF_BITS, _TIFF_PHOTOMETRIC, _ZERO_IS_WHITE = 258, 262, 0
_TOO_MANY_PIXELS = (
    f"Expected a picture of at most {MAX_MEGAPIXELS} megapixels; make it smaller and try again."
)
_OTHER_KINDS = {
    b"%PDF": "a PDF document",
    b"<svg": "an SVG drawing",
    b"<?xm": "an XML or SVG document",
    b"PK\x03\x04": "a ZIP archive",
    b"\x89HDF": "an HDF5 file, such as a Keras model",
}


def load_image(source: str | os.PathLike[str] | bytes | BinaryIO) -> np.ndarray:
    """Read a picture file the way a person sees it.

    The orientation noted by the camera is applied, transparency is laid over white, 16-bit grey
    is scaled and floating-point grey is stretched from its smallest to its largest value. Of an
    animation the first frame is taken.

    Parameters
    ----------
    source : path, bytes or binary file object
        JPEG, PNG, WebP, BMP, GIF or TIFF, at most 20 MB and 50 megapixels.

    Returns
    -------
    uint8 array ``(H, W, 3)``
        RGB, 0..255, C-contiguous and writable.

    Raises
    ------
    UnreadableImageError
        Whatever is wrong with the file; the message says what.
    """
    data = _read(source)
    _refuse_scan_bombs(data)
    try:
        with warnings.catch_warnings():
            # Pillow warns of damaged metadata, and of sizes that are checked here anyway.
            warnings.simplefilter("ignore")
            return _decode(data)
    except UnreadableImageError:
        raise
    except UnidentifiedImageError:
        raise UnreadableImageError(_unknown_kind(data)) from None
    except Image.DecompressionBombError:
        raise UnreadableImageError(_TOO_MANY_PIXELS) from None
    # Decoders raise whatever they stumble over: OSError, ValueError, SyntaxError, struct.error ...
    except Exception as error:
        raise UnreadableImageError(
            f"Expected a whole picture file. This one is damaged: {error}. "
            "Open it in an image viewer and save it again."
        ) from error


def images_in(
    folder: str | os.PathLike[str],
    *,
    skipped: Callable[[str, UnreadableImageError], None] | None = None,
) -> Iterator[tuple[str, np.ndarray]]:
    """Read the pictures of a folder one after the other, in the order of their names.

    Files without an ending of one of the kinds that `load_image` reads, and folders inside, are
    passed over.

    Parameters
    ----------
    folder : path
    skipped : callable, optional
        ``skipped(path, error)`` hears of each picture that cannot be read. Without it, the first
        of them ends the reading with its error.

    Returns
    -------
    iterator of (path str, uint8 array ``(H, W, 3)``)
        `load_image` reads the same picture from the path again.

    Raises
    ------
    UnreadableImageError
        If the folder cannot be read; if a picture cannot and nobody listens.
    """
    for path in _picture_paths(Path(folder)):
        try:
            image = load_image(path)
        except UnreadableImageError as error:
            if skipped is None:
                raise UnreadableImageError(f"{path.name}: {error}") from error
            skipped(str(path), error)
        else:
            yield str(path), image


def _picture_paths(folder: Path) -> list[Path]:
    kinds = Image.registered_extensions()
    try:
        files = sorted(path for path in folder.iterdir() if path.is_file())
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UnreadableImageError(
            f"Expected a folder with pictures. Cannot read {folder}: {reason}."
        ) from error
    return [path for path in files if kinds.get(path.suffix.lower()) in _FORMATS]


def _read(source: str | os.PathLike[str] | bytes | BinaryIO) -> bytes:
    if isinstance(source, str | os.PathLike):
        data = _read_path(Path(source))
    elif isinstance(source, bytes | bytearray | memoryview):
        data = bytes(source)
    elif hasattr(source, "read"):
        data = _read_file(source)
    else:
        raise UnreadableImageError(
            "Expected a path, bytes or a file opened in binary mode. "
            f"Received: {type(source).__name__}."
        )
    if not isinstance(data, bytes):
        raise UnreadableImageError(
            f"Expected a file opened in binary mode. Received one that gives {type(data).__name__}."
        )
    if not data:
        raise UnreadableImageError("Expected a picture file. Received an empty one.")
    if len(data) > MAX_MEGABYTES * 10**6:
        raise UnreadableImageError(
            f"Expected a picture file of at most {MAX_MEGABYTES} MB. "
            "This one is larger; make it smaller and try again."
        )
    return data


def _read_path(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_MEGABYTES * 10**6 + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UnreadableImageError(f"Cannot read {path}: {reason}.") from error


def _read_file(file: BinaryIO) -> bytes:
    try:
        return file.read(MAX_MEGABYTES * 10**6 + 1)
    # Closed files, lost connections, objects of somebody's own: they raise anything.
    except Exception as error:
        reason = str(error).rstrip(".")
        raise UnreadableImageError(f"Cannot read the file given: {reason}.") from error


def _decode(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
        _refuse_sizes(picture)
        picture.load()
        tags = getattr(picture, "tag_v2", {})
        return np.array(_to_rgb(_upright(picture), tags))


def _upright(picture: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(picture)
    # Damaged notes of a camera say nothing about the pixels, which are whole.
    except Exception:
        return picture


def _refuse_sizes(picture: Image.Image) -> None:
    width, height = picture.size
    if width * height > MAX_MEGAPIXELS * 10**6:
        raise UnreadableImageError(f"{_TOO_MANY_PIXELS} Received {width} x {height}.")
    if width < 1 or height < 1:
        raise UnreadableImageError("Expected a picture with pixels. Received one without any.")


def _refuse_scan_bombs(data: bytes) -> None:
    scans = data.count(b"\xff\xda") if data.startswith(b"\xff\xd8") else 0
    if scans > MAX_JPEG_SCANS:
        raise UnreadableImageError(
            f"Expected a JPEG of at most {MAX_JPEG_SCANS} scans. Received one of {scans}, which "
            "would take minutes to decode. Save it again as an ordinary JPEG."
        )


def _to_rgb(picture: Image.Image, tags: Mapping[int, Any]) -> Image.Image:
    if picture.mode.startswith("I") or picture.mode == "F":
        return _grey_of_many_bits(picture, tags).convert("RGB")
    if picture.has_transparency_data:
        rgba = picture.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return picture.convert("RGB")


def _grey_of_many_bits(picture: Image.Image, tags: Mapping[int, Any]) -> Image.Image:
    values = np.asarray(picture).astype("float64")
    if not np.isfinite(values).all():
        raise UnreadableImageError(
            "Expected a picture of finite numbers. This one has NaN or infinity in it."
        )
    if picture.mode.startswith("I;16"):
        low, span = 0.0, 2.0 ** tags.get(_TIFF_BITS, (16,))[0] - 1
    else:
        low, span = values.min(), np.ptp(values) or 1.0
    shade = (values - low) / span
    if tags.get(_TIFF_PHOTOMETRIC) == _ZERO_IS_WHITE:
        shade = 1 - shade
    shade[values == picture.info.get("transparency")] = 1
    return Image.fromarray(np.rint(255 * shade).astype("uint8"))


def _unknown_kind(data: bytes) -> str:
    kinds = ", ".join(_FORMATS)
    for start, kind in _OTHER_KINDS.items():
        if data.lstrip()[:4] == start:
            return f"Expected a picture: {kinds}. Received {kind}."
    if data[4:8] == b"ftyp":
        return f"Expected a picture: {kinds}. Received HEIC, AVIF or a film; save it as JPEG first."
    return (
        f"Expected a picture: {kinds}. Received something else, a rare variant of these, or a "
        "damaged file."
    )
