"""Long computations in the background: one at a time, visible, and really stopped by Cancel."""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import streamlit as st

import vizlib
from pages.ui import errors, links
from pages.ui.language import say
from pages.ui.retelling import retold
from pages.ui.wording import as_written

Progress = Callable[[int, int], None]

_RESULTS_KEPT = 24


class Cancelled(Exception):
    """Raised inside a job that its visitor has cancelled."""


class Job:
    """One computation of one visitor."""

    def __init__(self, key: Hashable, title: str) -> None:
        self.key = key
        self.title = title
        self.done = 0
        self.total = 0
        self.started: float | None = None
        #: Tells what went wrong in the language of whoever asks: the worker knows no visitor.
        self.error: Callable[[], str] | None = None
        self._cancelled = threading.Event()
        self._ended = threading.Event()

    def cancel(self) -> None:
        """Stop before the next step; what has not begun is over at once."""
        self._cancelled.set()

    def end(self) -> None:
        """Note that nothing more will come."""
        self._ended.set()

    @property
    def finished(self) -> bool:
        """Whether nothing more will come."""
        return self._ended.is_set() or (self.cancelled and self.started is None)

    @property
    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self._cancelled.is_set()

    def tick(self, done: int, total: int) -> None:
        """Note progress; the computation calls this after each step."""
        if self.cancelled:
            raise Cancelled
        self.done, self.total = done, total

    @property
    def seconds_left(self) -> float | None:
        """Estimate from the steps so far."""
        if not self.done or self.started is None:
            return None
        return (time.monotonic() - self.started) / self.done * (self.total - self.done)


class JobQueue:
    """Runs the jobs of all visitors one after another and keeps the latest results."""

    def __init__(self) -> None:
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="vizlib-job")
        self._waiting: list[Job] = []
        self._results: OrderedDict[Hashable, Any] = OrderedDict()
        self._guard = threading.Lock()

    def submit(self, job: Job, compute: Callable[[Progress], Any]) -> None:
        """Queue ``compute(progress)`` under a job."""
        with self._guard:
            self._waiting.append(job)
        self._worker.submit(self._run, job, compute)

    def result(self, key: Hashable) -> Any | None:
        """Find the result of an earlier job with the same key, or None."""
        with self._guard:
            if key in self._results:
                self._results.move_to_end(key)
            return self._results.get(key)

    def ahead_of(self, job: Job) -> int:
        """Count the jobs that will run before this one."""
        with self._guard:
            before = self._waiting[: self._waiting.index(job)] if job in self._waiting else []
        return sum(not other.finished for other in before)

    def _run(self, job: Job, compute: Callable[[Progress], Any]) -> None:
        try:
            job.tick(0, 0)
            job.started = time.monotonic()
            # Another visitor may have asked for the same in the meantime.
            if self.result(job.key) is None:
                self._keep(job.key, compute(job.tick))
        except Cancelled:
            pass
        except vizlib.VizlibError as error:
            job.error = partial(retold, str(error))
        except MemoryError:
            job.error = partial(say, "jobs.no_memory")
        # The worker serves every visitor: nothing may end it, and the visitor must be told.
        except Exception as error:
            logging.getLogger(__name__).exception(job.title)
            job.error = errors.unexpected(error)
        finally:
            with self._guard:
                self._waiting.remove(job)
            job.end()

    def _keep(self, key: Hashable, result: Any) -> None:
        with self._guard:
            self._results[key] = result
            while len(self._results) > _RESULTS_KEPT:
                self._results.popitem(last=False)


@st.cache_resource(show_spinner=False)
def queue() -> JobQueue:
    """The one queue shared by all visitors."""
    return JobQueue()


def _cancel_all(jobs: dict[str, Job]) -> None:
    for job in jobs.values():
        job.cancel()


@st.cache_resource(scope="session", show_spinner=False, on_release=_cancel_all)
def _own_jobs() -> dict[str, Job]:
    """Jobs of this visitor by slot; cancelled when the tab is closed."""
    return {}


def start(slot: str, job: Job, compute: Callable[[Progress], Any]) -> None:
    """Start a job in a slot of this visitor; another job there is cancelled."""
    previous = _own_jobs().get(slot)
    if running(slot) and not previous.cancelled and previous.key == job.key:
        return
    clear(slot)
    _own_jobs()[slot] = job
    queue().submit(job, compute)


def result(slot: str, job: Job, compute: Callable[[Progress], Any]) -> Any | None:
    """Find the result of a computation that begins by itself; None while it is shown at work.

    What was cancelled or has failed is begun again only when the visitor says so.
    """
    found = queue().result(job.key)
    if found is not None:
        return found
    latest = _own_jobs().get(slot)
    if asked(slot, job.key):
        # The visitor may read another language by now.
        latest.title = job.title
    stopped = asked(slot, job.key) and bool(latest.cancelled or latest.error)
    if not stopped:
        start(slot, job, compute)
    show(slot)
    if (
        stopped
        and latest.finished
        and st.button(say("jobs.again"), key=f"{slot}_again", icon=":material/refresh:")
    ):
        start(slot, job, compute)
        st.rerun()
    return None


def share(progress: Progress, number: int, count: int) -> Progress:
    """Progress of one of several parts, as progress of the whole."""

    def tell(done: int, total: int) -> None:
        progress(number * total + done, count * total)

    return tell


def clear(slot: str) -> None:
    """Cancel and forget the visitor's job in a slot, if there is one."""
    previous = _own_jobs().pop(slot, None)
    if previous is not None:
        previous.cancel()


def asked(slot: str, key: Hashable) -> bool:
    """Whether the latest job in a slot of this visitor has this key."""
    job = _own_jobs().get(slot)
    return job is not None and job.key == key


def running(slot: str) -> bool:
    """Whether the visitor's job in a slot is waiting or at work."""
    job = _own_jobs().get(slot)
    return job is not None and not job.finished


def show(slot: str) -> None:
    """Show the visitor's job in a slot, if there is one: progress, Cancel, or what went wrong."""
    job = _own_jobs().get(slot)
    if job is None:
        return
    if not job.finished:
        _running(slot)
    elif job.error:
        st.error(as_written(job.error()), icon=":material/error:")
    elif job.cancelled:
        st.info(say("jobs.cancelled"), icon=":material/cancel:")


@st.fragment(run_every=0.5)
def _running(slot: str) -> None:
    job = _own_jobs().get(slot)
    if job is None or job.finished:
        links.stay()
        st.rerun()
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.progress(job.done / job.total if job.total else 0.0, text=_status(job))
        if st.button(say("jobs.cancel"), key=f"{slot}_cancel", icon=":material/cancel:"):
            job.cancel()


def _status(job: Job) -> str:
    if job.cancelled:
        return say("jobs.stopping", title=job.title)
    ahead = queue().ahead_of(job)
    if ahead:
        return say("jobs.waiting", title=job.title, ahead=ahead)
    left = job.seconds_left
    if left is None:
        return say("jobs.preparing", title=job.title)
    return say("jobs.at_work", title=job.title, done=job.done, total=job.total, left=left)
