"""How the size of the output comes from the size of the input, in words and as a formula."""

import math

import streamlit as st

import vizlib

_FORMULA = (
    r"\text{output} = \left\lfloor\frac{\text{input} + \text{padding} - "
    r"\text{dilation}\cdot(\text{kernel} - 1) - 1}{\text{stride}}\right\rfloor + 1"
)


def show(work: vizlib.Convolution | vizlib.Pooling) -> None:
    """Tell size, stride, padding, dilation and groups of a layer, and what they do."""
    (height, width), (rows, columns) = work.inputs.shape[:2], work.outputs.shape[:2]
    st.subheader(f"From {height} x {width} to {rows} x {columns}", anchor=False)
    st.latex(_FORMULA)
    down, across = (_with_numbers(work, axis) for axis in (0, 1))
    if down == across:
        st.latex(down)
    else:
        st.latex(rf"\text{{height:}}\quad {down}")
        st.latex(rf"\text{{width:}}\quad {across}")
    st.markdown("\n".join(f"- {line}" for line in _in_words(work)))


def _with_numbers(work: vizlib.Convolution | vizlib.Pooling, axis: int) -> str:
    window, length, places = work.windows[axis], work.inputs.shape[axis], work.outputs.shape[axis]
    padding = f"({window.before} + {window.after(length, places)})"
    above = rf"{length} + {padding} - {window.dilation}\cdot({window.size} - 1) - 1"
    return rf"\left\lfloor\frac{{{above}}}{{{window.stride}}}\right\rfloor + 1 = {places}"


def _in_words(work: vizlib.Convolution | vizlib.Pooling) -> list[str]:
    lines = [_window(work), _stride(work), _padding(work)]
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


def _padding(work: vizlib.Convolution | vizlib.Pooling) -> str:
    above, below, left, right = padding(work)
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


def padding(work: vizlib.Convolution | vizlib.Pooling) -> tuple[int, int, int, int]:
    """Padding above, below, left and right of a layer's input."""
    (down, across), (height, width) = work.windows, work.inputs.shape[:2]
    rows, columns = work.outputs.shape[:2]
    vertical = down.before, down.after(height, rows)
    return *vertical, across.before, across.after(width, columns)


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
