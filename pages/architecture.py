"""How is this network built, and what does each layer make of the photo?"""

import streamlit as st

import vizlib
from pages.ui import computing, controls, layer_map, links, scripts, selection
from pages.ui.language import say
from pages.ui.retelling import retold
from pages.ui.wording import as_written

COLUMNS = ("order", "layer", "kind", "output", "parameters", "fed_by", "strongest_channel")


def show() -> None:
    chosen = selection.current()
    controls.heading(say("architecture.question"), say("architecture.explanation"))
    strongest = computing.strongest(chosen.network.key, chosen.photo.key, chosen)
    show_map(chosen, strongest)
    show_table(chosen, strongest)
    controls.copy_as_python(scripts.architecture(chosen))


def show_map(chosen: selection.Selection, strongest: layer_map.Strongest) -> None:
    folded, colormap = choose_look()
    graph, layout = computing.drawing(chosen.network.key, folded, chosen)
    show_facts(chosen, graph)
    if not graph.edges:
        return
    photo = chosen.convnet.input_image(chosen.image)
    pictures = computing.thumbnails(
        chosen.network.key, chosen.photo.key, colormap, strongest, photo
    )
    layer_map.draw(
        layer_map.LayerMap(graph, layout, strongest, pictures, photo),
        key="architecture",
        alt=say("architecture.map", network=chosen.convnet.name),
    )
    st.caption(say("architecture.map_explained"))


def choose_look() -> tuple[bool, str]:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        colormap = controls.choose_colormap(key="activation_colours", width=130)
        folded = st.toggle(
            say("architecture.fold"),
            value=True,
            key="folded",
            persist_state="session",
            help=say("architecture.help_fold"),
        )
    return folded, colormap


def show_facts(chosen: selection.Selection, graph: vizlib.LayerGraph) -> None:
    layers = chosen.convnet.all_layers
    total = sum(layer.parameters for layer in layers)
    drawn = sum(not node.is_input for node in graph.nodes)
    counts = {"layers": len(layers), "cards": drawn, "parameters": total}
    st.markdown(say("architecture.facts", network=as_written(chosen.convnet.name), **counts))
    if graph.diagnosis:
        st.warning(as_written(retold(graph.diagnosis)), icon=":material/warning:")


def show_table(chosen: selection.Selection, strongest: layer_map.Strongest) -> None:
    with st.expander(say("architecture.table"), key="architecture_twin", icon=":material/table:"):
        rows = table(chosen.convnet, strongest)
        picked = st.dataframe(
            rows,
            hide_index=True,
            height="content" if len(rows) < 12 else 420,
            column_config=columns(),
            key=f"architecture_table:{chosen.network.key}",
            selection_mode="single-row",
            on_select="rerun",
            alt=say("architecture.table_alt"),
        )
        names = [str(rows[number]["layer"]) for number in picked.selection.rows]
        link_to(next((name for name in names if name in strongest), None), strongest)


def link_to(layer: str | None, strongest: layer_map.Strongest) -> None:
    if layer is None:
        st.caption(say("architecture.tick"))
        return
    st.page_link(
        "pages/activations.py",
        label=say("architecture.link", layer=as_written(layer)),
        icon=":material/grid_view:",
        query_params=links.beside(layer=layer, channel=strongest[layer].channel),
    )


def table(convnet: vizlib.ConvNet, strongest: layer_map.Strongest) -> list[dict[str, object]]:
    nodes = [node for node in convnet.graph.nodes if not node.is_input]
    return [
        {
            "order": number,
            "layer": node.name,
            "kind": node.layers[0].kind,
            "output": " x ".join(map(str, node.layers[0].shape)),
            "parameters": node.layers[0].parameters,
            "fed_by": ", ".join(node.fed_by),
            "strongest_channel": strongest[node.name].channel if node.name in strongest else None,
        }
        for number, node in enumerate(nodes, 1)
    ]


def columns() -> dict[str, object]:
    """How the columns of the table are headed."""
    texts = {name: say(f"architecture.column.{name}") for name in COLUMNS}
    numbers = st.column_config.NumberColumn(texts["parameters"], format="localized")
    return texts | {"parameters": numbers}


show()
