"""The queue behind long computations."""

# ruff: noqa: TID251 - these tests are about the pages.

import threading
import time

import pytest
from streamlit.testing.v1 import AppTest

import vizlib
from pages.ui import jobs


@pytest.fixture
def queue() -> jobs.JobQueue:
    return jobs.queue()


class Gate:
    """A computation that stays at work until it is let through, or a test has failed long ago."""

    def __init__(self, result: object = "result") -> None:
        self.result = result
        self.begun = threading.Event()
        self.open = threading.Event()
        self.steps = 0

    def __call__(self, progress: jobs.Progress) -> object:
        self.begun.set()
        deadline = time.monotonic() + 30
        while not self.open.wait(0.01) and time.monotonic() < deadline:
            self.steps += 1
            progress(self.steps, 10**6)
        return self.result


def ended(job: jobs.Job, seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not job.finished and time.monotonic() < deadline:
        time.sleep(0.01)
    return job.finished


def submitted(queue: jobs.JobQueue, key: object, compute) -> jobs.Job:
    job = jobs.Job(key, str(key))
    queue.submit(job, compute)
    return job


def test_jobs_run_one_after_another_and_know_their_place(queue):
    gate = Gate("one")
    first = submitted(queue, 1, gate)
    second = submitted(queue, 2, lambda _progress: "two")
    third = submitted(queue, 3, lambda _progress: "three")
    assert gate.begun.wait(10)
    assert [queue.ahead_of(job) for job in (first, second, third)] == [0, 1, 2]
    assert second.started is None
    assert "waiting, 2 before it" in _status(queue, third)
    gate.open.set()
    assert ended(third)
    assert [queue.result(key) for key in (1, 2, 3)] == ["one", "two", "three"]
    assert first.started < second.started < third.started


def _status(queue, job: jobs.Job) -> str:
    assert jobs.queue() is queue
    return jobs._status(job)


def test_cancelled_at_work_ends_at_the_next_step(queue):
    gate = Gate()
    job = submitted(queue, 1, gate)
    assert gate.begun.wait(10)
    while not job.done:
        time.sleep(0.01)
    assert "step" in _status(queue, job)
    job.cancel()
    steps = gate.steps
    assert ended(job)
    assert gate.steps <= steps + 2
    assert queue.result(1) is None
    assert job.error is None


def test_cancelled_while_waiting_is_over_at_once_and_never_runs(queue):
    gate, ran = Gate(), []
    first = submitted(queue, 1, gate)
    waiting = submitted(queue, 2, ran.append)
    third = submitted(queue, 3, lambda _progress: "three")
    assert gate.begun.wait(10)
    waiting.cancel()
    assert waiting.finished
    assert not first.finished
    assert queue.ahead_of(third) == 1
    gate.open.set()
    assert ended(third)
    assert not ran


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (vizlib.InvalidArgumentError("Expected more."), "Expected more."),
        (MemoryError(), "not enough memory"),
        (ValueError("odd"), "unexpectedly (ValueError: odd)"),
        (ValueError("long " * 1000), "ValueError: long"),
    ],
)
def test_failure_is_told_and_does_not_stop_the_queue(queue, error, sentence):
    def fail(_progress):
        raise error

    failed = submitted(queue, 1, fail)
    after = submitted(queue, 2, lambda _progress: "two")
    assert ended(after)
    assert sentence in failed.error()
    assert len(failed.error()) < 400
    assert queue.result(1) is None
    assert queue.result(2) == "two"


def test_only_the_latest_results_are_kept(queue):
    last = [submitted(queue, key, lambda _p: "r") for key in range(jobs._RESULTS_KEPT)][-1]
    assert ended(last)
    assert queue.result(0) == "r"
    assert ended(submitted(queue, "new", lambda _p: "r"))
    assert queue.result(0) == "r"
    assert queue.result(1) is None


def test_two_visitors_with_one_question_share_the_answer(queue):
    gate, again = Gate("answer"), []
    submitted(queue, "question", gate)
    second = submitted(queue, "question", again.append)
    assert gate.begun.wait(10)
    gate.open.set()
    assert ended(second)
    assert not again
    assert queue.result("question") == "answer"


def test_starting_another_job_in_a_slot_cancels_the_one_before(queue):
    gate = Gate()
    first, second = jobs.Job(1, "first"), jobs.Job(2, "second")
    jobs.start("slot", first, gate)
    jobs.start("slot", second, lambda _progress: "two")
    assert ended(second)
    assert first.cancelled
    assert queue.result(2) == "two"


def test_starting_the_same_job_again_lets_it_go_on(queue):
    gate, again = Gate(), jobs.Job(1, "again")
    first = jobs.Job(1, "first")
    jobs.start("slot", first, gate)
    jobs.start("slot", again, gate)
    assert not first.cancelled
    assert queue.ahead_of(again) == 0
    first.cancel()
    jobs.start("slot", again, lambda _progress: "done")
    assert ended(again)
    assert queue.result(1) == "done"


def test_closing_the_tab_cancels_what_is_under_way(queue):
    gate = Gate()
    job = jobs.Job(1, "job")
    jobs.start("slot", job, gate)
    jobs._cancel_all(jobs._own_jobs())
    assert ended(job)


def test_time_left_comes_from_the_steps_so_far():
    job = jobs.Job(1, "job")
    assert job.seconds_left is None
    job.started = time.monotonic() - 10
    job.tick(5, 20)
    assert job.seconds_left == pytest.approx(30, rel=0.1)


def page_with_a_job():
    """A page with a choice; a fragment that finds its job finished runs before it when asked to."""
    import streamlit as st

    from pages.ui import jobs, links

    if st.session_state.pop("finished", False):
        jobs._running("none")
    links.begin()
    with links.noted():
        links.follow("number", range(10))
        links.keep("number", st.number_input("Number", 0, 9, key="number"))


@pytest.mark.parametrize("by_itself", [True, False])
def test_a_page_that_comes_back_by_itself_keeps_the_choice_an_old_address_does_not_know(by_itself):
    app = AppTest.from_function(page_with_a_job)
    app.query_params["number"] = "2"
    app.run()
    app.number_input(key="number").set_value(4).run()
    assert app.query_params["number"] == "4"
    app.query_params["number"] = "2"
    app.session_state["finished"] = by_itself
    app.run()
    assert not app.exception
    kept = 4 if by_itself else 2
    assert app.number_input(key="number").value == kept
    assert app.query_params["number"] == str(kept)
    app.query_params["number"] = "7"
    app.run()
    assert app.number_input(key="number").value == 7
