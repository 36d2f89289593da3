"""How does a convolution work? One number of a map, computed from the visitor's photo."""

import numpy as np
import streamlit as st

import vizlib
from pages.ui import (
    computing,
    controls,
    links,
    number_grids,
    picking,
    scripts,
    selection,
    window_sizes,
)
from pages.ui.language import say
from pages.ui.retelling import retold
from pages.ui.sliding_window import slide
from pages.ui.window_panels import before, colours, panels
from pages.ui.wording import as_written

IN_FULL, MOST_IN_FULL = 3, 16
WINDOW_KEY = "convolution_sliding"
Place = tuple[int, int, int]
#: Activations that need all channels of a place.
OVER_CHANNELS = {"softmax", "log_softmax", "sparsemax"}


def show() -> None:
    chosen = selection.current()
    controls.heading(say("convolution.question"), say("convolution.explanation"))
    layer = choose_layer(chosen.convnet)
    if layer is None:
        st.info(say("convolution.no_window"), icon=":material/info:")
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


def choice_of(name: str, layer: vizlib.LayerInfo) -> str:
    return f"convolution_{name}:{layer.name}:{layer.shape}"


def choose_place(layer: vizlib.LayerInfo, work: vizlib.Convolution | vizlib.Pooling) -> Place:
    height, width, channels = work.outputs.shape
    with st.container(horizontal=True):
        key, default = choice_of("channel", layer), most_selective(work.outputs)
        channel = choose_number("channel", channels, key, default, say("convolution.help_channel"))
        values = work.outputs[..., channel]
        highest = np.unravel_index(values.argmax(), values.shape)
        where = say("convolution.help_place")
        pick = picking.latest(choice_of("place", layer), WINDOW_KEY, range(height * width))
        row, column = divmod(pick.value or 0, width)
        row_key = picking.key_since(choice_of("row", layer), pick, row)
        column_key = picking.key_since(choice_of("column", layer), pick, column)
        row = choose_number("row", height, row_key, int(highest[0]), where)
        column = choose_number("column", width, column_key, int(highest[1]), where)
    return channel, row, column


def most_selective(maps: np.ndarray) -> int:
    """Pick a channel that fires in few places: an edge tells more than an even patch of white."""
    mean = np.abs(maps).mean(axis=(0, 1))
    # A channel that hardly fires tells nothing: its map is blank but for a speck.
    return int((maps.std(axis=(0, 1)) / (mean + 0.05 * np.abs(maps).max() + 1e-30)).argmax())


def choose_number(name: str, count: int, key: str, default: int, explanation: str) -> int:
    if count == 1:
        return 0
    links.follow(name, range(count), key=key)
    st.session_state.setdefault(key, default)
    number = st.number_input(
        say(f"convolution.number.{name}"),
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

    slide(
        panels(chosen, layer, work, (input_channel, channel)),
        work.outputs[..., channel],
        key=WINDOW_KEY,
        choice=choice_of("place", layer),
        place=(row, column),
    )
    st.caption(say("convolution.window_explained"))


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
    st.subheader(say("convolution.patch_times_kernel"), anchor=False)
    known = colours(chosen.convnet, layer, work)
    if known:
        show_preprocessing(chosen.convnet, layer)
    names = [
        known[c] if known else say("convolution.input_channel", number=c)
        for c in step.input_channels
    ]
    count = choose_count(len(names))
    shown = in_full(step, count)
    show_products(step, shown, names)
    show_sum(work, step, shown, names)
    show_followers(chosen, layer, place)
    window_sizes.show(work, padded_by=padded_by(chosen.convnet, layer, work))
    controls.copy_as_python(scripts.convolution(chosen, layer.name, place, count))


def show_preprocessing(convnet: vizlib.ConvNet, layer: vizlib.LayerInfo) -> None:
    """Say what was done to the photo before a layer that takes its colours."""
    earlier = (as_written(one.name) for one in before(convnet, layer))
    steps = say("convolution.received_then").join(
        [retold(convnet.preprocessing.description), *earlier]
    )
    st.caption(say("convolution.received", preprocess=convnet.preprocess, steps=steps))


def choose_count(channels: int) -> int:
    if channels <= IN_FULL:
        return channels
    return st.number_input(
        say("convolution.in_full"),
        1,
        min(MOST_IN_FULL, channels),
        IN_FULL,
        key=f"convolution_in_full:{min(MOST_IN_FULL, channels)}",
        persist_state="session",
        width=200,
        help=say("convolution.help_in_full", channels=channels),
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
        title = say("convolution.patch", name=names[k])
        patch = {"title": title, "limit": patch_limit, "padding": step.padding}
        title = say("convolution.products")
        product = {"title": title, "limit": product_limit, "padding": step.padding}
        kernel = grid(step.kernel[..., k], title=say("convolution.kernel"), limit=kernel_limit)
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
    st.subheader(say("convolution.the_sum"), anchor=False)
    terms = [(names[k], float(step.contributions[k])) for k in shown]
    rest = float(np.delete(step.contributions, shown).sum())
    others = len(step.contributions) - len(shown)
    if others:
        count = "one" if others == 1 else "many"
        terms.append((say(f"convolution.others.{count}", count=others), rest))
    terms += [(say("convolution.bias"), step.bias)] if work.has_bias else []
    totals = [(say("convolution.sum"), step.total), (say("convolution.before"), step.before)]
    if work.activation:
        totals.append((say("convolution.after", activation=work.activation), step.output))
    st.html(number_grids.page(number_grids.sums(terms, totals)))
    if not work.has_bias:
        st.caption(say("convolution.no_bias"))
    show_agreement(step)
    if work.activation in OVER_CHANNELS:
        counts = {"activation": work.activation, "channels": work.outputs.shape[2]}
        st.caption(say("convolution.over_channels", **counts))


def show_agreement(step: vizlib.ConvolutionStep | vizlib.PoolingStep) -> None:
    if step.diagnosis:
        st.warning(as_written(retold(step.diagnosis)), icon=":material/warning:")
    else:
        agrees = say(
            f"convolution.agrees.{'rounded' if step.gap else 'exactly'}", gap=abs(step.gap)
        )
        st.caption(f":material/check: {agrees}")


# What becomes of the number.


def show_followers(chosen: selection.Selection, layer: vizlib.LayerInfo, place: Place) -> None:
    """Follow the number through the layers that keep its place, up to the next window."""
    channel, row, column = place
    convolutions = set(vizlib.convolution_layers(chosen.convnet))
    pools = set(vizlib.pooling_layers(chosen.convnet))
    st.subheader(say("convolution.followed"), anchor=False)
    lines, pool = [], None
    for follower in computing.followers(chosen.network.key, layer.name, chosen):
        shown = {"layer": as_written(follower.name), "kind": follower.kind}
        if follower in pools:
            lines.append(say("convolution.follower.pools", **shown))
            pool = follower
            break
        if follower in convolutions or follower.shape != layer.shape:
            lines.append(say("convolution.follower.takes_all", **shown))
            break
        maps = computing.maps(chosen.network.key, chosen.photo.key, follower.name, chosen)
        value = number_grids.plain(maps[row, column, channel])
        lines.append(say("convolution.follower.makes", **shown, value=value))
    lines = lines or [say("convolution.follower.none")]
    st.markdown("\n".join(f"- {line}" for line in lines))
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
        st.caption(say("convolution.jumped_over"))
        return
    step = work.at(channel, *readers[0])
    asked = int(np.flatnonzero(step.rows == row)[0]), int(np.flatnonzero(step.columns == column)[0])
    show_pooling_step(work, step, asked=asked)
    place = {"row": readers[0][0], "column": readers[0][1]}
    count = "one" if len(readers) == 1 else "many"
    st.caption(say(f"convolution.reader.{count}", count=len(readers), **place))


# Pooling.


def show_pooling(
    chosen: selection.Selection, layer: vizlib.LayerInfo, work: vizlib.Pooling, place: Place
) -> None:
    step = work.at(*place)
    show_window(chosen, layer, work, place, place[0])
    st.subheader(say("convolution.the_window"), anchor=False)
    show_pooling_step(work, step)
    show_followers(chosen, layer, place)
    window_sizes.show(work, padded_by=padded_by(chosen.convnet, layer, work))
    controls.copy_as_python(scripts.pooling(chosen, layer.name, place))


def show_pooling_step(
    work: vizlib.Pooling, step: vizlib.PoolingStep, *, asked: tuple[int, int] | None = None
) -> None:
    counted = int((~step.padding).sum())
    how = "largest" if work.takes_maximum else "mean"
    numbers = "one" if counted == 1 else "many"
    grid = number_grids.grid(
        step.patch,
        title=say(f"convolution.pooled.numbers.{numbers}", count=counted, channel=step.channel),
        limit=float(np.abs(step.patch).max()),
        padding=step.padding,
        wins=step.winner,
        asked=asked,
    )
    total = number_grids.result(number_grids.plain(step.total))
    sign = number_grids.sign(say(f"convolution.pooled.{how}", count=counted))
    st.html(number_grids.page(number_grids.row(grid, sign, total)))
    st.caption(say(f"convolution.pooled.{how}_explained"))
    show_agreement(step)


show()
