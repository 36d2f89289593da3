"""The real server, and the browser that is put in front of it."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
SECONDS_TO_START = 120


def chromium_here() -> str | None:
    """Path of a browser: ``CHROMIUM``, or what the system has."""
    names = (
        os.environ.get("CHROMIUM", ""),
        "chromium-headless-shell",  # the same without a frame of windows: a fifth less work
        "chromium",
        "chromium-browser",
        "google-chrome",
    )
    return next(filter(None, (shutil.which(name) for name in names if name)), None)


@contextlib.contextmanager
def serving(folder: Path, *, weights: Path | None = None) -> Iterator[str]:
    """Run `streamlit run dashboard.py` on a free port.

    What it writes goes to the folder, temporary files to ``temporary`` in it. ``weights`` is where
    Keras keeps what was downloaded; nothing has been by default.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "dashboard.py"]
    options = [f"--server.port={port}", "--server.headless=true", "--server.address=127.0.0.1"]
    temporary = folder / "temporary"
    temporary.mkdir()
    folders = {"KERAS_HOME": str(weights or folder / "keras"), "TMPDIR": str(temporary)}
    environment = os.environ | folders | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, *options], cwd=ROOT, env=environment, stdout=log, stderr=log
        )
        try:
            _wait_for(f"http://127.0.0.1:{port}/_stcore/health", process, folder / "server.log")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for(url: str, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.2)
    raise RuntimeError(f"The server did not start: {log.read_text('utf-8', 'replace')[-2000:]}")
