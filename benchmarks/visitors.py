"""Many people at one server: does each see what was chosen, at once, and does memory stay flat?

Starts the dashboard and opens a browser window for each visitor. They click like people do, two to
four seconds apart: pages, photos, layers, channels, classes, methods, languages, now and then two
things at once. One of them at a time has a long job running, and cancels it, looks elsewhere
meanwhile, or waits. The exit status is not 0 when anything went wrong or memory keeps growing.

    python benchmarks/visitors.py                     # eight visitors for ten minutes
    python benchmarks/visitors.py --minutes 1 --visitors 4 --network cats-vs-dogs
"""

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from playwright.async_api import async_playwright

sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "browser"))

from browser_driver import process_of, resident_bytes
from real_server import FLAGS, chromium_here, serving

from benchmarks.visitor import Click, Crowd, Visitor, samples

SECONDS_BETWEEN_WEIGHINGS = 10
KEEPS_GROWING = "keeps growing"
#: Of what a process holds, this share comes and goes.
NOISE = 0.015
Weighings = Sequence[tuple[float, int]]


def trend(sizes: Sequence[float]) -> str:
    """Tell whether the third and the last quarter of a run each held more than the one before it.

    A quarter holds its lowest weighing: what one answer takes comes and goes. The first one does
    not count: caches fill in it.
    """
    length = len(sizes) // 4
    if length < 2:
        return "too short to judge"
    quarters = [min(sizes[i * length : (i + 1) * length]) for i in (1, 2, 3)]
    grows = all(after > before * (1 + NOISE) for before, after in pairwise(quarters))
    return KEEPS_GROWING if grows else "flat"


def at(weighings: Weighings, seconds: float) -> int:
    """What was weighed next to a moment."""
    return min(weighings, key=lambda one: abs(one[0] - seconds))[1]


def timing(clicks: Sequence[Click]) -> str:
    """Median and 95th percentile of what clicks took."""
    if len(clicks) < 2:
        return f"{len(clicks)} clicks"
    seconds = [click.seconds for click in clicks]
    high = statistics.quantiles(seconds, n=20)[-1]
    middle = statistics.median(seconds)
    return f"{len(clicks):5} clicks, median {middle:.2f} s, 95th percentile {high:.2f} s"


async def weigh(process: int, weighings: list[tuple[float, int]], until: float) -> None:
    """Note the resident memory of a process until a moment of `time.monotonic`.

    What is weighed longer than people click, while the last job is waited for, would make a run of
    one minute long enough to be judged, in which caches fill from begin to end.
    """
    begun = time.monotonic()
    while time.monotonic() < until:
        weighings.append((time.monotonic() - begun, resident_bytes(process)))
        await asyncio.sleep(SECONDS_BETWEEN_WEIGHINGS)


async def visit(server: str, wanted: argparse.Namespace) -> tuple[Crowd, Weighings]:
    """Let visitors come one after another, and click until the time is over."""
    crowd, weighings = Crowd(), []
    photos = sorted(set(samples().values()))
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium_here(), args=FLAGS)
        visitors = []
        for number in range(wanted.visitors):
            context = await browser.new_context(viewport={"width": 1280, "height": 900})
            rng = random.Random(f"{wanted.seed} {number}")
            visitors.append(Visitor(str(number), await context.new_page(), crowd, rng))
            address = f"{server}/?network={wanted.network}&sample={rng.choice(photos)}"
            await visitors[-1].come(address)
        until = time.monotonic() + 60 * wanted.minutes
        weighing = asyncio.create_task(weigh(process_of(server), weighings, until))
        await asyncio.gather(*(visitor.live(until) for visitor in visitors))
        weighing.cancel()
        await browser.close()
    return crowd, weighings


def report(crowd: Crowd, weighings: Weighings) -> bool:
    """Print what was found; returns whether all was well."""
    for title, beside in (("beside a long job", True), ("without one", False)):
        print(f"{title:18}{timing([c for c in crowd.clicks if c.beside_a_job == beside])}")
    for kind in sorted({click.kind for click in crowd.clicks if " and " not in click.kind}):
        print(f"  {kind:16}{timing([c for c in crowd.clicks if c.kind == kind])}")
    end = weighings[-1][0]
    moments = {"after two minutes": min(120, end), "at half time": end / 2, "at the end": end}
    sizes = ", ".join(f"{at(weighings, t) >> 20} MiB {name}" for name, t in moments.items())
    memory = trend([size for _, size in weighings])
    print(f"memory            {sizes}: {memory}")
    print(f"{crowd.jobs} long jobs, {crowd.pictures} different pictures")
    print(f"{len(crowd.clicks)} clicks, {len(crowd.complaints)} errors")
    return not crowd.complaints and memory != KEEPS_GROWING


def main() -> int:
    """Run it; returns the exit status."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--minutes", type=float, default=10)
    options.add_argument("--visitors", type=int, default=8)
    options.add_argument("--network", default="squeezenet")
    options.add_argument("--seed", type=int, default=0)
    wanted = options.parse_args()
    print(f"{wanted.visitors} visitors, {wanted.minutes:g} minutes, {wanted.network}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        with serving(Path(folder), weights=Path.home() / ".keras") as server:
            crowd, weighings = asyncio.run(visit(server, wanted))
        log = (Path(folder) / "server.log").read_text("utf-8", "replace")
    if "Traceback" in log:
        crowd.complaints.append(log[log.index("Traceback") :][:20000])
        print(crowd.complaints[-1])
    return 0 if report(crowd, weighings) else 1


if __name__ == "__main__":
    sys.exit(main())
