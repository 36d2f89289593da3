"""The child that reads model files: what code running in it could do, if there were a way in."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import hostile_files as hostile
import numpy as np
import pytest

import vizlib
from vizlib import ModelLoadError, UnsafeModelError, confinement
from vizlib.budgets import CHILD_MEMORY_BYTES
from vizlib.confinement import confinement_layers, run_confined

LAYERS = confinement_layers()
# Starts as the child does, gives up its rights, and then does what an intruder would do.
PROBE = """
import ctypes, os, signal, socket, subprocess, sys, threading, types
package = types.ModuleType("vizlib")
package.__path__ = [sys.argv[1]]
sys.modules["vizlib"] = package
import vizlib.confinement
from vizlib.rights import give_up_rights
call = ctypes.CDLL(None).syscall
give_up_rights()
try:
    {action}
except BaseException as error:
    os.write(1, b"refused " + type(error).__name__.encode())
else:
    os.write(1, b"done")
"""
# What is tried, and which layers stop it: one of them is enough.
FILES, CALLS = {"Landlock", "seccomp"}, {"seccomp"}
PROBES = {
    "read-a-system-file": ("open('/etc/passwd').read()", FILES),
    "read-a-file": ("open('{folder}/secret').read()", FILES),
    "list-a-folder": ("os.listdir('{folder}')", FILES),
    "write-a-file": ("open('{folder}/marker', 'w').write('x')", FILES),
    "append": ("open('{folder}/secret', 'a').write('x')", FILES),
    "make-a-folder": ("os.mkdir('{folder}/marker')", FILES),
    "remove": ("os.remove('{folder}/secret')", FILES),
    "rename": ("os.rename('{folder}/secret', '{folder}/marker')", FILES),
    "link": ("os.symlink('/etc/passwd', '{folder}/marker')", FILES),
    "truncate": ("os.truncate('{folder}/secret', 0)", FILES),
    "change-rights": ("os.chmod('{folder}/secret', 0)", CALLS),
    "read-the-parent": ("open(f'/proc/{os.getppid()}/environ').read()", FILES),
    "own-memory-file": ("open('/proc/self/mem', 'r+b').read(1)", FILES),
    "temporary-file": ("os.open('{folder}', os.O_TMPFILE | os.O_RDWR)", FILES),
    "memory-file": ("os.memfd_create('x')", CALLS),
    "tcp": ("socket.create_connection(('127.0.0.1', {port}), 2)", CALLS),
    "listen": ("socket.create_server(('127.0.0.1', 0))", CALLS),
    "udp": ("socket.socket(socket.AF_INET, socket.SOCK_DGRAM)", CALLS),
    "local-socket": ("socket.socket(socket.AF_UNIX)", CALLS),
    "fork": ("os._exit(0) if os.fork() == 0 else None", CALLS),
    "thread": ("threading.Thread(target=print).start()", CALLS),
    "run-a-program": ("subprocess.run(['/bin/true'], check=True)", FILES),
    "become-a-program": ("os.execv('/bin/true', ['true'])", FILES),
    "kill-the-parent": ("os.kill(os.getppid(), 0)", CALLS),
    "raise-limits": (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (2**40, 2**40))",
        CALLS,
    ),
    "mount": ("assert call(165, b'a', b'/mnt', b'tmpfs', 0, None) == 0", CALLS),
    "trace": ("assert call(101, 16, os.getppid(), 0, 0) == 0", CALLS),
    "rings": ("assert call(425, 1, 0) >= 0", CALLS),
    "bpf": ("assert call(321, 0, 0, 0) >= 0", CALLS),
    "drop-to-old-calls": ("assert call(0x40000000 + 2, b'/etc/passwd', 0) >= 0", CALLS),
}


def run_probe(action: str, folder: Path, **options) -> subprocess.CompletedProcess:
    package = Path(vizlib.__file__).parent
    return subprocess.run(
        [sys.executable, "-c", PROBE.replace("{action}", action), str(package)],
        capture_output=True,
        timeout=60,
        cwd=folder,
        check=False,
        **options,
    )


@pytest.fixture
def port():
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("name", sorted(PROBES))
def test_an_intruder_can_do_nothing(name, tmp_path, port):
    action, layers = PROBES[name]
    missing = not layers & set(LAYERS)
    if missing:
        pytest.skip(f"this system has none of {', '.join(sorted(layers))}")
    secret = tmp_path / "secret"
    secret.write_text("secret")
    action = action.replace("{folder}", str(tmp_path)).replace("{port}", str(port))
    answer = run_probe(action, tmp_path).stdout
    assert answer.startswith(b"refused"), answer
    assert secret.read_text() == "secret"
    assert list(tmp_path.iterdir()) == [secret]


def test_the_probe_itself_works(tmp_path):
    assert run_probe("sum(range(10))", tmp_path).stdout == b"done"


@pytest.mark.parametrize("layer", sorted(FILES))
@pytest.mark.parametrize("name", ["read-a-file", "write-a-file", "remove", "run-a-program"])
def test_each_wall_stands_alone(name, layer, tmp_path, port):
    if layer not in LAYERS:
        pytest.skip(f"this system has no {layer}")
    (tmp_path / "secret").write_text("secret")
    keep = f"('{layer}', 'no new privileges')"
    only = f"import vizlib.rights as r; r._LAYERS = {{n: r._LAYERS[n] for n in {keep}[::-1]}}"
    action = PROBES[name][0].replace("{folder}", str(tmp_path)).replace("{port}", str(port))
    code = PROBE.replace("give_up_rights()\ntry", f"{only}\ngive_up_rights()\ntry", 1)
    package = str(Path(vizlib.__file__).parent)
    command = [sys.executable, "-c", code.replace("{action}", action), package]
    answer = subprocess.run(command, capture_output=True, timeout=60, check=False).stdout
    assert answer.startswith(b"refused"), answer


# Memory and time: these hold on every system that has the module `resource`.


def test_memory_is_limited(tmp_path):
    answer = run_probe(f"bytearray({CHILD_MEMORY_BYTES})", tmp_path).stdout
    assert answer == b"refused MemoryError"


@pytest.fixture
def start_instead(monkeypatch):
    """Let the child run other code once it has given up its rights."""

    def change(code: str) -> None:
        start = confinement._START.replace(
            "answer_as_child()\n",
            "from vizlib.rights import give_up_rights\ngive_up_rights()\n" + textwrap.dedent(code),
        )
        start = start.replace(
            "import answer_as_child\n", "import answer_as_child\nimport os, sys\n"
        )
        monkeypatch.setattr(confinement, "_START", start)

    return change


def test_a_loop_without_end_is_stopped(start_instead, monkeypatch):
    monkeypatch.setattr(confinement, "CHILD_WALL_SECONDS", 3)
    start_instead("while True: pass")
    begin = time.monotonic()
    with pytest.raises(ModelLoadError, match="within 3 seconds"):
        run_confined(hostile.honest_keras())
    assert time.monotonic() - begin < 60  # it would loop for ever


def test_computing_is_limited(start_instead, monkeypatch):
    start_instead("while True: pass")
    shorter = "import vizlib.rights\nvizlib.rights.CHILD_CPU_SECONDS = 1\nfrom vizlib.rights"
    start = confinement._START.replace("from vizlib.rights", shorter)
    monkeypatch.setattr(confinement, "_START", start)
    with pytest.raises(ModelLoadError, match="seconds of computing"):
        run_confined(hostile.honest_keras())


def test_a_system_that_starts_no_process_is_a_refusal(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(ModelLoadError, match="start a process"):
        run_confined(hostile.honest_keras())


@pytest.mark.parametrize(
    "code",
    [
        "import ctypes; ctypes.string_at(0)",
        "os._exit(0)",
        "os._exit(3)",
        "os.abort()",
        "os.write(1, b'harmless')",
        "os.write(1, b'x' * 100_000)",
        "raise ValueError",
        "bytearray(10**12)",
    ],
)
def test_a_child_that_breaks_is_a_refusal(code, start_instead):
    start_instead(code)
    with pytest.raises(ModelLoadError, match="its reader stop"):
        run_confined(hostile.honest_keras())


def test_the_answer_cannot_grow_without_end(start_instead):
    start_instead("while True: os.write(1, bytes(1 << 22))")
    with pytest.raises(ModelLoadError):
        run_confined(hostile.honest_keras())


def test_the_child_gets_nothing_of_the_environment(start_instead, monkeypatch, tmp_path):
    monkeypatch.setenv("SECRET_TOKEN", "harmless")
    with (tmp_path / "other").open("wb") as other:
        os.set_inheritable(other.fileno(), True)
        start_instead(
            f"""
            try:
                os.fstat({other.fileno()})
            except OSError as error:
                closed = error.errno in (1, 9)
            os._exit(0 if closed and "SECRET_TOKEN" not in os.environ else 7)
            """
        )
        with tempfile.TemporaryFile() as file, tempfile.TemporaryFile() as answer:
            assert confinement._run_child(file, answer) == 0


def test_the_child_needs_neither_keras_nor_tensorflow(start_instead):
    start_instead("os._exit(9 if {'keras', 'tensorflow'} & set(sys.modules) else 0)")
    with tempfile.TemporaryFile() as file, tempfile.TemporaryFile() as answer:
        assert confinement._run_child(file, answer) == 0


# Answers of a child that lies.


def answer_of(header: object, content: bytes = b"", magic: bytes = b"VIZMODEL") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<8sQ", magic, len(text)) + text + content


GOOD = {
    "config": {},
    "layout": "keras3",
    "legacy_order": [],
    "listed": [["layers/a", "a"]],
    "weights": [["a", "<f4", [2]]],
}
TWO = np.ones(2, "<f4").tobytes()
LIES = {
    "magic": answer_of(GOOD, TWO, b"xxxxxxxx"),
    "length": struct.pack("<8sQ", b"VIZMODEL", 2**63) + b"{}",
    "json": answer_of(b"{", TWO),
    "nan": answer_of(b'{"config": NaN}', TWO),
    "list": answer_of([], TWO),
    "nothing": answer_of({}, TWO),
    "config": answer_of(GOOD | {"config": []}, TWO),
    "layout": answer_of(GOOD | {"layout": "pickle"}, TWO),
    "too-short": answer_of(GOOD, TWO[:-1]),
    "too-long": answer_of(GOOD, TWO + b"x"),
    "not-finite": answer_of(GOOD, np.array([1, np.nan], "<f4").tobytes()),
    "twice": answer_of(GOOD | {"weights": GOOD["weights"] * 2}, TWO * 2),
    "order": answer_of(GOOD | {"legacy_order": [[1, [2]]]}, TWO),
    "order-of-nothing": answer_of(GOOD | {"legacy_order": [["a", ["b"]]]}, TWO),
    "order-kind": answer_of(GOOD | {"legacy_order": 5}, TWO),
    "listed": answer_of(GOOD | {"listed": [["layers/a", 2]]}, TWO),
    "listed-kind": answer_of(GOOD | {"listed": 5}, TWO),
    "listed-length": answer_of(GOOD | {"listed": [["a", "b", "c"]]}, TWO),
    "listed-many": answer_of(GOOD | {"listed": [["a", "b"]] * 20_001}, TWO),
    **{
        f"weights-{place}": answer_of(GOOD | {"weights": entries}, TWO)
        for place, entries in enumerate(
            (
                "a",
                ["a"],
                [["a", "O", [2]]],
                [["a", ["O"], [2]]],
                [["a", "<f4", 2]],
                [["a", "<f4", [-2]]],
                [["a", "<f4", [2.0]]],
                [["a", "<f4", [True, 2]]],
                [["a", "<f4", [2**62]]],
                [["a", "<f4", [2**33, 0, 2**33]]],
                [["a", "<f4", [1] * 9]],
                [[1, "<f4", [2]]],
                [["a", "<f4", [2], 1]],
            )
        )
    },
}


@pytest.fixture
def answer_instead(monkeypatch):
    def change(content: bytes) -> None:
        def run(_file, answer, _wanted) -> int:
            answer.write(content)
            return 0

        monkeypatch.setattr(confinement, "_run_child", run)

    return change


@pytest.mark.parametrize("name", sorted(LIES))
def test_a_lying_answer_is_refused(name, answer_instead):
    answer_instead(LIES[name])
    with pytest.raises(ModelLoadError):
        run_confined(hostile.honest_keras())


def test_a_good_answer_is_accepted(answer_instead):
    answer_instead(answer_of(GOOD, TWO))
    assert run_confined(hostile.honest_keras()).weights["a"].tolist() == [1, 1]


def test_a_refusal_keeps_its_kind_and_loses_what_cannot_be_shown(answer_instead):
    reason = "Expected a\x1b[31m model" + "x" * 10_000
    answer_instead(answer_of({"refused": "UnsafeModelError", "reason": reason}))
    with pytest.raises(UnsafeModelError, match=r"Expected a\?\[31m model") as refusal:
        run_confined(hostile.honest_keras())
    assert len(str(refusal.value)) <= 2000


def test_an_unknown_refusal_is_a_refusal(answer_instead):
    answer_instead(answer_of({"refused": "SystemExit", "reason": "?"}))
    with pytest.raises(ModelLoadError):
        run_confined(hostile.honest_keras())


# What the page says.


def test_the_confinement_layers_have_names():
    assert LAYERS[:2] == ("separate process", "time limit")
    assert "resource limits" in LAYERS


def test_a_system_without_walls_still_reads(start_instead, monkeypatch):
    monkeypatch.setattr(
        confinement,
        "_START",
        confinement._START.replace(
            "from vizlib.confinement import answer_as_child\n",
            "import vizlib.rights\nvizlib.rights._LAYERS = {'missing': lambda: 1 / 0}\n"
            "from vizlib.confinement import answer_as_child\n",
        ),
    )
    assert len(run_confined(hostile.honest_keras()).weights) == len(hostile.WEIGHTS)
    confinement_layers.cache_clear()
    assert confinement_layers() == ("separate process", "time limit")
    confinement_layers.cache_clear()


def children() -> set[str]:
    tasks = Path("/proc/self/task").iterdir()
    return {child for task in tasks for child in (task / "children").read_text().split()}


def test_no_child_is_left_behind():
    before = children()
    for _ in range(3):
        run_confined(hostile.honest_keras())
    assert children() <= before
