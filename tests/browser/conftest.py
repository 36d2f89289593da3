"""The real server, and a real Chromium in front of it."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browser_driver import Visitor, settle
from playwright.sync_api import Browser
from playwright.sync_api import Error as PlaywrightError
from real_server import FLAGS, chromium_here, serving

VISITORS = pytest.StashKey[list[Visitor]]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a browser. Without one CI must not be green."""
    found = chromium_here()
    if found is None:
        message = "no Chromium found: install it, or name its path in the variable CHROMIUM"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return found


@pytest.fixture(scope="session")
def browser_type_launch_args(chromium: str) -> dict:
    return {"executable_path": chromium, "args": list(FLAGS)}


@pytest.fixture(scope="session")
def server_folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="session")
def server(server_folder) -> Iterator[str]:
    with serving(server_folder) as address:
        yield address


@pytest.fixture
def fresh_server(tmp_path) -> Iterator[str]:
    """One that nobody has visited yet."""
    with serving(tmp_path) as address:
        yield address


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory) -> Path:
    """Where pictures of the pages go: the folder named in ``SCREENSHOTS``, or a temporary one."""
    folder = Path(os.environ.get("SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Write what stood in the windows beside a failure: it may not come again."""
    report = yield
    if report.when == "call" and report.failed:
        for number, visitor in enumerate(item.stash.get(VISITORS, [])):
            # A window that is closed has nothing to tell, and must not hide the failure.
            with contextlib.suppress(PlaywrightError):
                report.sections.append((f"window {number}", visitor.told()))
    return report


@pytest.fixture
def come(server: str, browser: Browser, request) -> Iterator[Callable[..., Visitor]]:
    """Let a visitor open an address; in the end nobody may have met an exception."""
    visitors: list[Visitor] = []
    request.node.stash[VISITORS] = visitors

    def open_page(address: str = "/?network=cats-vs-dogs", **options) -> Visitor:
        options = {"viewport": {"width": 1280, "height": 900}, "accept_downloads": True} | options
        base = options.pop("server", server)
        context = browser.new_context(**options)
        visitor = Visitor(context.new_page(), base)
        visitors.append(visitor)
        visitor.page.goto(base + address)
        settle(visitor.page)
        return visitor

    yield open_page
    complaints = [complaint for visitor in visitors for complaint in visitor.complaints()]
    for visitor in visitors:
        visitor.page.context.close()
    assert complaints == []
