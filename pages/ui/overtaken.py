"""What was sent with a click that the next click overtook.

For each click Streamlit stops the run before. One that is stopped before it has taken what the
browser sent for it is forgotten with all of that. The next message says most of it again, but a
page link says only what is chosen beside all pages, and a button is said to be pressed only once:
where a layer and a change of page reached the server at once, the layer was lost every other time.
Streamlit has no setting for it, so what is not taken goes with the next message.
"""

from collections.abc import Sequence

from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.WidgetStates_pb2 import WidgetState
from streamlit.runtime.app_session import AppSession
from streamlit.runtime.scriptrunner import script_runner
from streamlit.runtime.scriptrunner_utils.script_requests import (
    RerunData,
    ScriptRequest,
    ScriptRequests,
    ScriptRequestType,
)

_answer = AppSession.request_rerun


def keep() -> None:
    """Answer each click from now on together with those that it overtakes."""
    script_runner.ScriptRequests = Requests
    AppSession.request_rerun = _answer_all


def _answer_all(session: AppSession, click: ClientState | None) -> None:
    running = session._scriptrunner and session._scriptrunner._requests
    if click is not None and not click.fragment_id and isinstance(running, Requests):
        click = together(click, running.stop())
    _answer(session, click)


def together(click: ClientState, overtaken: Sequence[WidgetState]) -> ClientState:
    """Return a message that also says what it does not say itself of overtaken widgets."""
    said = {widget.id for widget in click.widget_states.widgets}
    both = ClientState()
    both.CopyFrom(click)
    both.widget_states.widgets.extend(widget for widget in overtaken if widget.id not in said)
    return both


class Requests(ScriptRequests):
    """What is asked of one run after the other, and whether it has been taken."""

    _taken: RerunData | None = None

    def on_scriptrunner_yield(self) -> ScriptRequest | None:
        """See whether to stop; right after the first look a run takes what was sent for it."""
        with self._lock:
            if self._state is ScriptRequestType.CONTINUE:
                self._taken = self._rerun_data
                return None
        return super().on_scriptrunner_yield()

    def stop(self) -> Sequence[WidgetState]:
        """Take nothing any more; returns the widgets sent that have not been taken."""
        with self._lock:
            begun = self._state is ScriptRequestType.CONTINUE and self._taken is self._rerun_data
            done = begun or self._state is ScriptRequestType.STOP
            self._state = ScriptRequestType.STOP
            states = self._rerun_data.widget_states
        return () if done or states is None else states.widgets
