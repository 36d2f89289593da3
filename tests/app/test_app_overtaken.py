"""Clicks that the next one overtakes: nothing that was sent is lost, and nothing is done twice."""

# ruff: noqa: TID251 - these tests are about the pages.

import pytest
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.WidgetStates_pb2 import WidgetState, WidgetStates
from streamlit.runtime.scriptrunner_utils.script_requests import RerunData

from pages.ui.overtaken import Requests, together


def widget(name: str, value: str) -> WidgetState:
    return WidgetState(id=name, string_value=value)


LAYER, METHOD = widget("layer", "conv1"), widget("method", "Grad-CAM")
CLICK = RerunData(widget_states=WidgetStates(widgets=[LAYER]))
PRESSED = RerunData(widget_states=WidgetStates(widgets=[WidgetState(id="b", trigger_value=True)]))


@pytest.fixture
def asked():
    requests = Requests()
    requests.request_rerun(CLICK)
    return requests


def test_a_run_that_has_not_begun_gives_back_what_was_sent(asked):
    assert list(asked.stop()) == [LAYER]


def test_so_does_one_that_has_begun_but_not_looked_yet(asked):
    assert asked.on_scriptrunner_ready().rerun_data == CLICK
    assert list(asked.stop()) == [LAYER]


def test_from_the_first_look_on_it_is_taken(asked):
    asked.on_scriptrunner_ready()
    assert asked.on_scriptrunner_yield() is None
    assert list(asked.stop()) == []


def test_a_run_that_is_done_gives_nothing_back(asked):
    asked.on_scriptrunner_ready()
    asked.on_scriptrunner_ready()
    assert list(asked.stop()) == []


def test_nothing_is_given_back_twice(asked):
    asked.stop()
    assert list(asked.stop()) == []


def test_a_stopped_run_takes_nothing_at_its_first_look(asked):
    asked.on_scriptrunner_ready()
    asked.stop()
    assert asked.on_scriptrunner_yield().type.name == "STOP"


def test_what_is_asked_of_a_run_under_way_is_given_back_until_it_is_taken_too(asked):
    asked.on_scriptrunner_ready()
    asked.on_scriptrunner_yield()
    asked.request_rerun(PRESSED)
    assert asked.on_scriptrunner_yield().rerun_data.widget_states == PRESSED.widget_states
    assert [one.id for one in asked.stop()] == ["b"]


def test_a_message_says_also_what_it_overtook_and_itself_has_the_last_word():
    click = ClientState(widget_states=WidgetStates(widgets=[widget("layer", "pool1")]))
    both = together(click, [LAYER, METHOD])
    assert list(both.widget_states.widgets) == [widget("layer", "pool1"), METHOD]
    assert len(click.widget_states.widgets) == 1
