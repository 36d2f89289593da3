"""How does a convolution work? One number of a map, computed from the visitor's photo."""

import numpy as np
import streamlit as st

import vizlib
from pages.ui import computing, controls, links, number_grids, scripts, selection, window_sizes
from pages.ui.sliding_window import slide
from pages.ui.window_panels import before, colours, panels
from pages.ui.wording import as_written

IN_FULL, MOST_IN_FULL = 3, 16
Place = tuple[int, int, int]
#: Activations that need all channels of a place.
OVER_CHANNELS = {"softmax", "log_softmax", "sparsemax"}


def show() -> None:
    chosen = selection.current()
    controls.heading(
        "How does a convolution work?",
        "One number of one map, computed from your photo step by step. It is one place of one "
        "channel: a large number here does not say what the channel looks for.",
    )
    layer = choose_layer(chosen.convnet)
    if layer is None:
        st.info("This network has no layer with a window that slides.", icon=":material/info:")
        return
    work = computing.at_work(chosen.network.key, chosen.photo.key, layer.name, chosen)
    place = choose_place(layer, work)
    if isinstance(work, vizlib.Convolution):
        show_convolution(chosen, layer, work, place)
    else:
        show_pooling(chosen, layer, work, place)


def choose_layer(convnet: vizlib.ConvNet) -> vizlib.LayerInfo | None:
    convolutions = vizlib.convolution_layers(convnet)
    known = {*convolutions, *vizlib.pooling_layers(convnet)}
    layers = [layer for layer in convnet.layers if layer in known]
    if not layers:
        return None
    first = (convolutions or layers)[0].name
    return controls.choose_layer(convnet, key="convolution", default=first, layers=layers)


# Which number.


def key_of(name: str, layer: vizlib.LayerInfo) -> str:
    return f"convolution_{name}:{layer.name}:{layer.shape}"


def choose_place(layer: vizlib.LayerInfo, work: vizlib.Convolution | vizlib.Pooling) -> Place:
    height, width, channels = work.outputs.shape
    with st.container(horizontal=True):
        channel = choose_number(
            *("channel", channels, layer, most_selective(work.outputs)),
            "Of the output: each has a kernel of its own, and makes a map of its own.",
        )
        values = work.outputs[..., channel]
        highest = np.unravel_index(values.argmax(), values.shape)
        where = "Of the place in the output, from 0. Or click the last of the maps below."
        row = choose_number("row", height, layer, int(highest[0]), where)
        column = choose_number("column", width, layer, int(highest[1]), where)
    return channel, row, column


def most_selective(maps: np.ndarray) -> int:
    """Pick a channel that fires in few places: an edge tells more than an even patch of white."""
    mean = np.abs(maps).mean(axis=(0, 1))
    # A channel that hardly fires at all tells nothing.
    return int((maps.std(axis=(0, 1)) / (mean + 1e-3 * np.abs(maps).max() + 1e-30)).argmax())


def choose_number(
    name: str, count: int, layer: vizlib.LayerInfo, default: int, explanation: str
) -> int:
    if count == 1:
        return 0
    key = key_of(name, layer)
    links.follow(name, range(count), key=key)
    st.session_state.setdefault(key, default)
    number = st.number_input(
        name.capitalize(),
        0,
        count - 1,
        key=key,
        persist_state="session",
        width=130,
        help=explanation,
    )
    links.keep(name, number)
    return number


def show_window(
    chosen: selection.Selection,
    layer: vizlib.LayerInfo,
    work: vizlib.Convolution | vizlib.Pooling,
    place: Place,
    input_channel: int,
) -> None:
    channel, row, column = place

    def pick(row: int, column: int) -> None:
        st.session_state[key_of("row", layer)] = row
        st.session_state[key_of("column", layer)] = column

    slide(
        panels(chosen, layer, work, (input_channel, channel)),
        work.outputs[..., channel],
        key="convolution",
        place=(row, column),
        on_pick=pick,
    )
    st.caption(
        "Move over the last map, and the window slides over the others; click, or use the arrow "
        "keys, to compute that place. Red is above zero, blue below, white is zero; hatched is "
        "padding."
    )


def padded_by(
    convnet: vizlib.ConvNet, layer: vizlib.LayerInfo, work: vizlib.Convolution | vizlib.Pooling
) -> vizlib.LayerInfo | None:
    """The layer that has put zeros around what this one takes, if one has."""
    padding = [one for one in before(convnet, layer)[-1:] if one.kind == "ZeroPadding2D"]
    return next((one for one in padding if one.shape == work.inputs.shape), None)


# A convolution.


def show_convolution(
    chosen: selection.Selection, layer: vizlib.LayerInfo, work: vizlib.Convolution, place: Place
) -> None:
    step = work.at(*place)
    show_window(chosen, layer, work, place, step.input_channels[step.strongest(1)[0]])
    st.subheader("Patch times kernel", anchor=False)
    known = colours(chosen.convnet, layer, work)
    if known:
        show_preprocessing(chosen.convnet, layer)
    names = [known[c] if known else f"input channel {c}" for c in step.input_channels]
    count = choose_count(len(names))
    shown = in_full(step, count)
    show_products(step, shown, names)
    show_sum(work, step, shown, names)
    show_followers(chosen, layer, place)
    window_sizes.show(work, padded_by=padded_by(chosen.convnet, layer, work))
    controls.copy_as_python(scripts.convolution(chosen, layer.name, place, count))


def show_preprocessing(convnet: vizlib.ConvNet, layer: vizlib.LayerInfo) -> None:
    """Say what was done to the photo before a layer that takes its colours."""
    earlier = ", then ".join(as_written(one.name) for one in before(convnet, layer))
    st.caption(
        "The patch holds the numbers as the layer receives them: "
        f"`{convnet.preprocess}`, {convnet.preprocessing.description}"
        + (f", then {earlier}." if earlier else ".")
    )


def choose_count(channels: int) -> int:
    if channels <= IN_FULL:
        return channels
    return st.number_input(
        "Input channels in full",
        1,
        min(MOST_IN_FULL, channels),
        IN_FULL,
        key=f"convolution_in_full:{min(MOST_IN_FULL, channels)}",
        persist_state="session",
        width=200,
        help=f"This number is a sum over {channels} input channels. Those that add or take away "
        "most are written out; the others are one line of the sum.",
    )


def in_full(step: vizlib.ConvolutionStep, count: int) -> list[int]:
    """Positions of the channels that are written out: all in their order, or the strongest."""
    everything = count == len(step.input_channels) <= IN_FULL
    return list(range(count)) if everything else step.strongest(count)


def show_products(step: vizlib.ConvolutionStep, shown: list[int], names: list[str]) -> None:
    patch_limit, kernel_limit = (
        float(np.abs(values[..., shown]).max()) for values in (step.patch, step.kernel)
    )
    products = step.products
    product_limit = float(np.abs(products[..., shown]).max())
    grid, sign = number_grids.grid, number_grids.sign
    rows = []
    for k in shown:
        patch = {"title": f"{names[k]}: patch", "limit": patch_limit, "padding": step.padding}
        product = {"title": "products", "limit": product_limit, "padding": step.padding}
        kernel = grid(step.kernel[..., k], title="kernel", limit=kernel_limit)
        total = number_grids.result(number_grids.signed(step.contributions[k]))
        rows.append(
            number_grids.row(
                number_grids.together(grid(step.patch[..., k], **patch), sign("×"), kernel),
                number_grids.together(
                    sign("="), grid(products[..., k], **product), sign("Σ"), total
                ),
            )
        )
    st.html(number_grids.page(*rows))


def show_sum(
    work: vizlib.Convolution,
    step: vizlib.ConvolutionStep,
    shown: list[int],
    names: list[str],
) -> None:
    st.subheader("The sum", anchor=False)
    terms = [(names[k], float(step.contributions[k])) for k in shown]
    rest = float(np.delete(step.contributions, shown).sum())
    others = len(step.contributions) - len(shown)
    terms += [(f"and {others} others", rest)] if others else []
    terms += [("bias", step.bias)]
    own = "the network itself gives"
    totals = [("sum", step.total), (own, step.before)]
    totals += [(f"after {work.activation}", step.output)] if work.activation else []
    st.html(number_grids.page(number_grids.sums(terms, totals)))
    show_agreement(step)
    if work.activation in OVER_CHANNELS:
        st.caption(
            f"{work.activation} makes one number of all {work.outputs.shape[2]} channels at this "
            "place: it cannot be computed from this one alone."
        )


def show_agreement(step: vizlib.ConvolutionStep | vizlib.PoolingStep) -> None:
    if step.diagnosis:
        st.warning(as_written(step.diagnosis), icon=":material/warning:")
    else:
        differ = f"they differ by {abs(step.gap):.1g}, which is rounding" if step.gap else "equal"
        st.caption(f":material/check: Computed here and by the network: {differ}.")


# What becomes of the number.


def show_followers(chosen: selection.Selection, layer: vizlib.LayerInfo, place: Place) -> None:
    """Follow the number through the layers that keep its place, up to the next window."""
    channel, row, column = place
    convolutions = set(vizlib.convolution_layers(chosen.convnet))
    pools = set(vizlib.pooling_layers(chosen.convnet))
    st.subheader("What becomes of the number", anchor=False)
    lines, pool = [], None
    for follower in computing.followers(chosen.network.key, layer.name, chosen):
        title = f"- **{as_written(follower.name)}** ({follower.kind})"
        if follower in pools:
            lines.append(f"{title} takes it with its neighbours:")
            pool = follower
            break
        if follower in convolutions or follower.shape != layer.shape:
            lines.append(f"{title} takes the whole map next.")
            break
        maps = computing.maps(chosen.network.key, chosen.photo.key, follower.name, chosen)
        value = number_grids.plain(maps[row, column, channel])
        lines.append(f"{title} makes **{value}** of it.")
    st.markdown("\n".join(lines or ["- No layer takes it: it is part of what the network gives."]))
    if pool is not None:
        show_pooled(chosen, pool, place)


def show_pooled(chosen: selection.Selection, pool: vizlib.LayerInfo, place: Place) -> None:
    channel, row, column = place
    work = computing.at_work(chosen.network.key, chosen.photo.key, pool.name, chosen)
    (down, across), (rows, columns) = work.windows, work.outputs.shape[:2]
    readers = [
        (int(r), int(c)) for r in down.readers(row, rows) for c in across.readers(column, columns)
    ]
    if not readers:
        st.caption("No window of it takes this place: its stride jumps over it.")
        return
    step = work.at(channel, *readers[0])
    asked = int(np.flatnonzero(step.rows == row)[0]), int(np.flatnonzero(step.columns == column)[0])
    show_pooling_step(work, step, asked=asked)
    others = f"One of {len(readers)} windows that take it" if len(readers) > 1 else "The window"
    st.caption(
        f"{others}, the number underlined: it makes row {readers[0][0]}, column {readers[0][1]} "
        "of the output."
    )


# Pooling.


def show_pooling(
    chosen: selection.Selection, layer: vizlib.LayerInfo, work: vizlib.Pooling, place: Place
) -> None:
    step = work.at(*place)
    show_window(chosen, layer, work, place, place[0])
    st.subheader("The window", anchor=False)
    show_pooling_step(work, step)
    show_followers(chosen, layer, place)
    window_sizes.show(work, padded_by=padded_by(chosen.convnet, layer, work))
    controls.copy_as_python(scripts.pooling(chosen, layer.name, place))


def show_pooling_step(
    work: vizlib.Pooling, step: vizlib.PoolingStep, *, asked: tuple[int, int] | None = None
) -> None:
    counted = int((~step.padding).sum())
    how = "largest" if work.takes_maximum else f"sum / {counted}"
    grid = number_grids.grid(
        step.patch,
        title=f"{counted} numbers of channel {step.channel}",
        limit=float(np.abs(step.patch).max()),
        padding=step.padding,
        wins=step.winner,
        asked=asked,
    )
    total = number_grids.result(number_grids.plain(step.total))
    st.html(number_grids.page(number_grids.row(grid, number_grids.sign(f"{how} ="), total)))
    st.caption(
        "The framed number wins; the others are forgotten."
        if work.takes_maximum
        else "All count alike; padding does not count."
    )
    show_agreement(step)


show()
