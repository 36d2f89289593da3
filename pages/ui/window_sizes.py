"""How the size of the output comes from the size of the input, in words and as a formula."""

import math

import streamlit as st

import vizlib
from pages.ui.window_panels import padding
from pages.ui.wording import as_written

_FORMULA = r"\left\lfloor\frac{n + p - d\,(k - 1) - 1}{s}\right\rfloor + 1"


def show(
    work: vizlib.Convolution | vizlib.Pooling, *, padded_by: vizlib.LayerInfo | None = None
) -> None:
    """Tell size, stride, padding, dilation and groups of a layer, and what they do.

    ``padded_by`` is the layer that has put zeros around the input, if one has.
    """
    (height, width), (rows, columns) = work.inputs.shape[:2], work.outputs.shape[:2]
    st.subheader(f"From {height} x {width} to {rows} x {columns}", anchor=False)
    st.latex(_FORMULA)
    down, across = (_with_numbers(work, axis) for axis in (0, 1))
    if down == across:
        st.latex(down)
    else:
        st.latex(rf"\text{{height:}}\enspace {down}")
        st.latex(rf"\text{{width:}}\enspace {across}")
    st.caption(
        "$n$: size of the input, $p$: padding before and after it, $k$: size of the window, "
        "$d$: its dilation, $s$: its stride. $\\lfloor\\ \\rfloor$ rounds down."
    )
    st.markdown("\n".join(f"- {line}" for line in _in_words(work, padded_by)))


def _with_numbers(work: vizlib.Convolution | vizlib.Pooling, axis: int) -> str:
    window, length, places = work.windows[axis], work.inputs.shape[axis], work.outputs.shape[axis]
    padded = f"{length} + {window.before} + {window.after(length, places)}"
    above = rf"{padded} - {window.dilation}\cdot({window.size} - 1) - 1"
    return rf"\left\lfloor\frac{{{above}}}{{{window.stride}}}\right\rfloor + 1 = {places}"


def _in_words(
    work: vizlib.Convolution | vizlib.Pooling, padded_by: vizlib.LayerInfo | None
) -> list[str]:
    lines = [_window(work), _stride(work), _padding(work, padded_by)]
    if max(window.dilation for window in work.windows) > 1:
        lines.append(_dilation(work))
    if isinstance(work, vizlib.Convolution):
        lines += [_groups(work)] * (work.groups > 1) + [_weights(work)]
    return lines


def _window(work: vizlib.Convolution | vizlib.Pooling) -> str:
    size = _by([window.size for window in work.windows])
    if isinstance(work, vizlib.Convolution):
        read = work.kernel.shape[2]
        numbers = math.prod(work.kernel.shape[:3])
        channels = "1 channel" if read == 1 else f"{read} channels"
        return (
            f"**Kernel** {size}: every number of the output is a sum over {size} places of "
            f"{channels}, {numbers:,} products."
        )
    kind = "largest" if work.takes_maximum else "mean"
    return f"**Window** {size}: every number of the output is the {kind} of {size} numbers."


def _stride(work: vizlib.Convolution | vizlib.Pooling) -> str:
    strides = [window.stride for window in work.windows]
    if strides == [1, 1]:
        return "**Stride** 1: the window moves by one place at a time."
    step = (
        str(strides[0]) if strides[0] == strides[1] else f"{strides[0]} down, {strides[1]} across"
    )
    return f"**Stride** {step}: from one number to the next the window jumps, so the map shrinks."


def _padding(work: vizlib.Convolution | vizlib.Pooling, padded_by: vizlib.LayerInfo | None) -> str:
    above, below, left, right = padding(work)
    if padded_by is not None:
        name = as_written(padded_by.name)
        return f"**Padding** none of its own: {name}, just before it, has put zeros around the map."
    if not any((above, below, left, right)):
        return "**Padding** none: the window never hangs over the edge."
    filled = "zeros" if isinstance(work, vizlib.Convolution) else "nothing that counts"
    uneven = " Of an odd number TensorFlow puts one more below and on the right."
    return (
        f"**Padding** *same*: {above} above and {below} below, {left} on the left and {right} on "
        f"the right, hatched in the picture, filled with {filled}."
        + uneven
        * (above != below or left != right)
    )


def _dilation(work: vizlib.Convolution | vizlib.Pooling) -> str:
    dilation = _by([window.dilation for window in work.windows])
    reach = _by([window.reach for window in work.windows])
    return f"**Dilation** {dilation}: the kernel has gaps, and reaches over {reach} places."


def _groups(work: vizlib.Convolution) -> str:
    read = work.kernel.shape[2]
    if read == 1:
        return "**Depthwise**: each channel of the output reads one channel of the input."
    return (
        f"**Groups** {work.groups}: each channel of the output reads only the {read} channels of "
        "its group."
    )


def _weights(work: vizlib.Convolution) -> str:
    filters = work.outputs.shape[2]
    each = math.prod(work.kernel.shape[:3])
    places = math.prod(work.outputs.shape[:2])
    return (
        f"**Shared weights**: each of the {filters:,} channels has one kernel of {each:,} numbers, "
        f"the same at all {places:,} places."
    )


def _by(pair: list[int]) -> str:
    return " x ".join(map(str, pair))
