"""Fetch a file once, checked by its digest, into the cache that Keras uses too."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from http.client import HTTPException
from pathlib import Path
from typing import Any, BinaryIO

from vizlib.cache import written_at_once
from vizlib.errors import WeightsUnavailableError

#: ``progress(done, total)``; raising from it cancels.
Progress = Callable[[int, int], None]

_TIMEOUT_SECONDS = 30
_CHUNK = 1 << 20
_DEFAULT_INDEX = "https://pypi.org/simple"


def fetch(
    url: str, destination: Path, *, digest: str | None, progress: Progress | None = None
) -> Path:
    """Download a file unless it is there already, and check it.

    Parameters
    ----------
    url : str
    destination : Path
        Written at once when complete: an interrupted download leaves nothing behind.
    digest : str or None
        ``"sha256:..."`` or ``"md5:..."``; None where the publisher states none.
    progress : callable, optional
        ``progress(done, total)`` in bytes.

    Raises
    ------
    WeightsUnavailableError
        If it cannot be fetched or stored, or is not the file expected.
    """
    try:
        if not destination.exists():
            destination.parent.mkdir(parents=True, exist_ok=True)
            _download(url, destination, digest=digest, progress=progress)
        elif not _matches(destination, digest):
            raise WeightsUnavailableError(
                f"{destination} is not the file expected (its {str(digest).split(':')[0]} "
                "differs): it may be damaged or incomplete. Delete it and try again."
            )
    except (OSError, HTTPException) as error:
        raise WeightsUnavailableError(f"{url or destination}: {_reason(error)}.") from error
    return destination


def find_in_package_index(package: str, filename: str) -> str:
    """Find the address of a released file in the package index that pip is set up to use.

    Raises
    ------
    WeightsUnavailableError
        If the index cannot be reached or does not have the file.
    """
    page = f"{_index_url()}/{package}/"
    try:
        with _opened(page) as response:
            links = _Links(response.read().decode("utf-8", "replace")).found
    # ValueError: pip is set up with something that is no address.
    except (OSError, HTTPException, ValueError) as error:
        raise WeightsUnavailableError(f"{_shown(page)}: {_reason(error)}.") from error
    for link in links:
        address = urllib.parse.urldefrag(urllib.parse.urljoin(page, link)).url
        if address.rsplit("/", 1)[-1] == filename:
            return address
    raise WeightsUnavailableError(f"{_shown(page)} does not list {filename}.")


def _shown(url: str) -> str:
    """Leave out the name and password that the address of a private index may hold."""
    scheme, separator, rest = url.partition("://")
    return scheme + separator + rest.rpartition("@")[2]


def _index_url() -> str:
    # Companies mirror the package index; whatever pip uses will be reachable.
    asked = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
    configured = os.environ.get("PIP_INDEX_URL")
    if not configured:
        answer = subprocess.run(asked, capture_output=True, text=True, check=False)
        configured = answer.stdout.strip()
    return (configured or _DEFAULT_INDEX).rstrip("/")


def _download(
    url: str, destination: Path, *, digest: str | None, progress: Progress | None
) -> None:
    with written_at_once(destination) as file:
        with _opened(url) as response:
            total = int(response.headers.get("Content-Length") or 0)
            done = 0
            while chunk := response.read(_CHUNK):
                file.write(chunk)
                done += len(chunk)
                if progress is not None:
                    progress(done, max(done, total))
        file.flush()
        if done < total or not _matches(Path(file.name), digest):
            raise OSError("what arrived is not the file expected (incomplete, or other contents)")


@contextlib.contextmanager
def _opened(url: str) -> Iterator[Any]:
    try:
        response = urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        error.close()  # it is a response too, and holds the connection
        raise
    with response:
        yield response


def store(destination: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let ``write(file)`` make a cached file that appears only once it is complete.

    Raises
    ------
    WeightsUnavailableError
        If the cache folder cannot be written, or the disk is full.
    """
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        with written_at_once(destination) as file:
            write(file)
    except OSError as error:
        raise WeightsUnavailableError(f"Cannot write {destination}: {_reason(error)}.") from error


def _matches(path: Path, digest: str | None) -> bool:
    if digest is None:
        return True
    algorithm, _, expected = digest.partition(":")
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest() == expected


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", None) or getattr(error, "strerror", None) or error)


class _Links(HTMLParser):
    """Every address that a page links to."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if tag == "a" and name == "href" and value]
