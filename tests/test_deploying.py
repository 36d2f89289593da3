"""The container as the Dockerfile describes it, and what is written about running it."""

# ruff: noqa: TID251 - these tests are about the server.

import os
import platform
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from streamlit import config

import vizlib

ROOT = Path(__file__).parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text()
GUIDE = (ROOT / "docs" / "deploying.md").read_text()


def instructions() -> list[tuple[str, str]]:
    """Each instruction with its arguments, in their order."""
    lines = re.sub(r"\\\n\s*", "", re.sub(r"(?m)^#.*\n", "", DOCKERFILE)).splitlines()
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines if line]


def of_kind(kind: str) -> list[str]:
    return [arguments for name, arguments in instructions() if name == kind]


def copied() -> set[str]:
    return {source for arguments in of_kind("COPY") for source in arguments.split()[:-1]}


def environment() -> dict[str, str]:
    pairs = (pair for arguments in of_kind("ENV") for pair in shlex.split(arguments))
    return dict(pair.split("=", 1) for pair in pairs)


def test_every_file_that_is_copied_exists():
    assert copied()
    assert [source for source in copied() if not (ROOT / source).exists()] == []


def test_nothing_that_the_dashboard_needs_is_left_out():
    ignored = {"README.md", "pyproject.toml", "requirements-test.txt", "Dockerfile"}
    ignored |= {"tests", "docs", "scripts", "examples", "benchmarks", "shots", "build", "dist"}
    here = {path.name for path in ROOT.iterdir() if path.name[0] != "."} - ignored
    assert {name for name in here if not name.endswith(".egg-info")} <= copied()
    assert ".streamlit" in copied()


def test_docker_is_sent_what_is_copied_and_nothing_else():
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    assert {line[1:] for line in lines if line.startswith("!")} == copied()


def test_the_requirements_are_those_of_the_project():
    installed = [line for line in of_kind("RUN") if "pip install" in line]
    (command,) = installed
    words = shlex.split(command[command.index("pip install") :])
    assert [word for word in words if not word.startswith("-")] == [
        "pip",
        "install",
        "requirements.txt",
    ]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    least = re.search(r"\d+\.\d+", project["project"]["requires-python"])[0]
    (base,) = of_kind("FROM")
    assert base == f"python:{least}-slim"


def test_nothing_runs_as_root():
    names = [name for name, _ in instructions()]
    (user,) = of_kind("USER")
    assert user not in ("root", "0")
    made = next(line for line in of_kind("RUN") if "useradd" in line)
    assert re.search(rf"useradd .*--uid [1-9]\d+ {user}\b", made)
    assert names.index("USER") < min(names.index("CMD"), names.index("HEALTHCHECK"))
    assert "RUN" not in names[names.index("USER") :]


def test_health_is_asked_for_where_the_server_listens():
    (check,) = of_kind("HEALTHCHECK")
    port = environment()["STREAMLIT_SERVER_PORT"]
    assert f"http://127.0.0.1:{port}/_stcore/health" in check
    assert of_kind("EXPOSE") == [port]
    assert environment()["STREAMLIT_SERVER_ADDRESS"] == "0.0.0.0"


def test_every_setting_of_the_container_is_one_of_streamlits():
    known = {option.env_var for option in config.get_config_options().values()}
    named = {name for name in environment() if name.startswith("STREAMLIT_")}
    assert named
    assert named <= known


COUNT_SHARES = """
import ctypes, sys, threading

begun = threading.Barrier(20)

def take():
    begun.wait()
    kept = [bytes(1000) for _ in range(100)]
    begun.wait()

threads = [threading.Thread(target=take) for _ in range(20)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()

libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
told = ctypes.c_void_p(libc.fopen(sys.argv[1].encode(), b"w"))
libc.malloc_info(0, told)
libc.fclose(told)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="about the GNU C library")
def test_the_threads_of_clicks_share_what_was_freed(tmp_path):
    def shares(given: dict[str, str]) -> int:
        told = tmp_path / "told.xml"
        command = [sys.executable, "-c", COUNT_SHARES, str(told)]
        subprocess.run(command, env=given, check=True)
        return told.read_text().count("<heap ")

    there = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"}
    ours = {name: value for name, value in environment().items() if name.startswith("MALLOC_")}
    assert shares(there) > 2
    assert shares(there | ours) == 2
    assert all(name in GUIDE for name in ours)


def test_uploads_are_limited_and_need_a_token():
    server = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())["server"]
    assert server["enableXsrfProtection"] is True
    largest = max(network.megabytes for network in vizlib.ZOO.values())
    assert largest <= server["maxUploadSize"] == 600
    assert f"{server['maxUploadSize']} MB" in GUIDE


@pytest.mark.parametrize("layer", vizlib.confinement_layers())
def test_the_guide_tells_of_every_wall_around_a_strangers_file(layer):
    assert layer in GUIDE
