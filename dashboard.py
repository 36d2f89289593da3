"""The frame of the dashboard: `streamlit run dashboard.py`."""

from pathlib import Path

import streamlit as st

from pages.ui import language, links
from pages.ui.language import say

FOLDER = Path(__file__).parent / "pages" / "ui"
# A file of ours: browsers would fetch Streamlit's own icons from a server elsewhere.
ICON = FOLDER / "icon.png"
ICONS = {
    "network": "hub",
    "architecture": "account_tree",
    "activations": "grid_view",
    "filters": "texture",
    "heatmaps": "local_fire_department",
    "convolution": "calculate",
}

links.begin()
language.follow()
st.set_page_config(page_title=say("dashboard.title"), page_icon=str(ICON), layout="wide")
PAGES = [
    st.Page(
        f"pages/{name}.py",
        title=say(f"dashboard.page.{name}"),
        icon=f":material/{icon}:",
        default=name == "network",
    )
    for name, icon in ICONS.items()
]
page = st.navigation(PAGES, position="top")

st.html(FOLDER / "frame.css")
language.declare()

with st.spinner(say("dashboard.starting")):
    from pages.ui import runtime

    runtime.start()
    from pages.ui import errors, selection

links.go_on(PAGES)

with links.noted():
    with st.sidebar:
        language.choose()
    if selection.choose():
        with errors.told():
            page.run()
    else:
        st.header(say("dashboard.look_inside"), anchor=False)
        st.info(say("dashboard.pick"), icon=":material/arrow_back:")
    language.spoken()
