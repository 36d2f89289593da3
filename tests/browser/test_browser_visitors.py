"""Many people at one server, for a minute; `benchmarks/visitors.py` lets them stay longer."""

import subprocess
import sys

import pytest
from real_server import ROOT


@pytest.mark.slow
@pytest.mark.usefixtures("chromium")
def test_four_visitors_each_see_what_they_chose():
    script = [sys.executable, "benchmarks/visitors.py", "--visitors=4", "--minutes=1"]
    done = subprocess.run(
        [*script, "--network=squeezenet"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    clicks, errors = done.stdout.splitlines()[-1].split(", ")
    assert errors == "0 errors"
    assert int(clicks.split()[0]) > 20
