"""The frame of the dashboard: `streamlit run dashboard.py`."""

from pathlib import Path

import streamlit as st

FOLDER = Path(__file__).parent / "pages" / "ui"
# A file of ours: browsers would fetch Streamlit's own icons from a server elsewhere.
ICON = FOLDER / "icon.png"
st.set_page_config(page_title="What a convnet sees", page_icon=str(ICON), layout="wide")
PAGES = [
    st.Page("pages/network.py", title="Network", icon=":material/hub:", default=True),
    st.Page("pages/architecture.py", title="Architecture", icon=":material/account_tree:"),
    st.Page("pages/activations.py", title="Activations", icon=":material/grid_view:"),
    st.Page("pages/filters.py", title="Filters", icon=":material/texture:"),
    st.Page("pages/heatmaps.py", title="Heatmaps", icon=":material/local_fire_department:"),
    st.Page("pages/convolution.py", title="Convolution", icon=":material/calculate:"),
]
page = st.navigation(PAGES, position="top")

st.html(FOLDER / "frame.css")

with st.spinner("Starting TensorFlow, once for all visitors. This takes some seconds …"):
    from pages.ui import runtime

    runtime.start()
    from pages.ui import errors, links, selection

links.go_on(PAGES)

with links.noted():
    if selection.choose():
        with errors.told():
            page.run()
    else:
        st.header("Look inside a convolutional network", anchor=False)
        st.info(
            "Pick a network and a photo in the sidebar on the left.", icon=":material/arrow_back:"
        )
