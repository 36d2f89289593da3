"""A dashboard without a browser: Streamlit's AppTest on the real entry script."""

# ruff: noqa: TID251 - these tests are about the pages.

import sys
from collections.abc import Callable, Iterator

import pytest
from app_driver import QUICK, ROOT, TIMEOUT, visit
from streamlit.runtime.pages_manager import PagesManager
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.testing.v1 import AppTest

sys.path.insert(0, str(ROOT))


@pytest.fixture(autouse=True)
def no_network_at_hand(tmp_path, monkeypatch):
    """Keep tests away from weights that somebody has downloaded, and from the net."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))


@pytest.fixture(autouse=True)
def behind_the_frame(monkeypatch) -> None:
    """Run pages inside `dashboard.py`, as a server does from its second visitor on.

    AppTest forgets before every run that the app has called `st.navigation`, and would run the
    files in ``pages/`` by themselves.
    """
    original = PagesManager.__init__

    def init(self, *args, **options):
        original(self, *args, **options)
        PagesManager.uses_pages_directory = False

    monkeypatch.setattr(PagesManager, "__init__", init)


@pytest.fixture(autouse=True)
def jobs_of_its_own(monkeypatch) -> Iterator[None]:
    """Give every test a queue of its own: all AppTests of a process share one session."""
    from pages.ui import jobs

    own: dict[str, jobs.Job] = {}
    queue = jobs.JobQueue()
    monkeypatch.setattr(jobs, "_own_jobs", lambda: own)
    monkeypatch.setattr(jobs, "queue", lambda: queue)
    yield
    jobs._cancel_all(own)
    queue._worker.shutdown()


@pytest.fixture(autouse=True)
def words_of_the_latest_run(monkeypatch) -> None:
    """Keep speaking the language of a run until the next one.

    Between runs AppTest asks the functions that format options what the browser would show.
    """
    from pages.ui import language

    original, latest = language.current, ["en"]

    def current() -> str:
        if get_script_run_ctx(suppress_warning=True) is not None:
            latest[0] = original()
        return latest[0]

    monkeypatch.setattr(language, "current", current)


Opener = Callable[..., AppTest]


@pytest.fixture
def dashboard() -> Opener:
    """Open the dashboard: ``dashboard(page, network=..., sample=...)``."""

    def open_page(page: str = "network", **link: str) -> AppTest:
        app = AppTest.from_file(str(ROOT / "dashboard.py"), default_timeout=TIMEOUT)
        for key, value in ({"network": QUICK} | link).items():
            app.query_params[key] = value
        app.run()
        return app if page == "network" else visit(app, page)

    return open_page
