"""How is this network built, and what does each layer make of the photo?"""

import streamlit as st

import vizlib
from pages.ui import computing, controls, layer_map, links, scripts, selection
from pages.ui.wording import as_written


def show() -> None:
    chosen = selection.current()
    controls.heading(
        "How is the network built?",
        "Every layer with what feeds it, from the photo down. Pictures are of the channel with the "
        "largest mean absolute activation on this photo, each scaled by its own maximum: it says "
        "most here, not always.",
    )
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
        alt=f"Layers of {chosen.convnet.name}. Move along the connections with the arrow keys; "
        "Enter opens the activations of a layer. The table below tells the same.",
    )
    st.caption(
        "Click a layer to open its activations. Drag or scroll to move; zoom with two fingers, the "
        "wheel and Ctrl, or the buttons; arrow keys follow the connections."
    )


def choose_look() -> tuple[bool, str]:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        colormap = controls.choose_colormap(key="activation_colours", width=130)
        folded = st.toggle(
            "Fold normalisation and activation",
            value=True,
            key="folded",
            persist_state="session",
            help="Draws them, and dropout, in one card with the layer before them. The picture is "
            "of the last of them.",
        )
    return folded, colormap


def show_facts(chosen: selection.Selection, graph: vizlib.LayerGraph) -> None:
    layers = chosen.convnet.all_layers
    total = sum(layer.parameters for layer in layers)
    drawn = sum(not node.is_input for node in graph.nodes)
    st.markdown(
        f"**{as_written(chosen.convnet.name)}** · **{len(layers)}** layers in {drawn} cards · "
        f"**{total:,}** parameters"
    )
    if graph.diagnosis:
        st.warning(as_written(graph.diagnosis), icon=":material/warning:")


def show_table(chosen: selection.Selection, strongest: layer_map.Strongest) -> None:
    with st.expander("The same as a table", icon=":material/table:"):
        rows = table(chosen.convnet, strongest)
        picked = st.dataframe(
            rows,
            hide_index=True,
            height="content" if len(rows) < 12 else 420,
            column_config={"parameters": st.column_config.NumberColumn(format="localized")},
            key=f"architecture_table:{chosen.network.key}",
            selection_mode="single-row",
            on_select="rerun",
            alt="Layers in the order they run, with what feeds each",
        )
        names = [str(rows[number]["layer"]) for number in picked.selection.rows]
        link_to(next((name for name in names if name in strongest), None), strongest)


def link_to(layer: str | None, strongest: layer_map.Strongest) -> None:
    if layer is None:
        st.caption("Tick a layer with maps for a link to its activations.")
        return
    st.page_link(
        "pages/activations.py",
        label=f"Activations of {as_written(layer)}",
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
            "fed by": ", ".join(node.fed_by),
            "strongest channel": strongest[node.name].channel if node.name in strongest else None,
        }
        for number, node in enumerate(nodes, 1)
    ]


show()
