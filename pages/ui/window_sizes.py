"""How the size of the output comes from the size of the input, in words and as a formula."""

import math

import streamlit as st

import vizlib
from pages.ui.language import say
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
    sizes = {"height": height, "width": width, "rows": rows, "columns": columns}
    st.subheader(say("window_sizes.from_to", **sizes), anchor=False)
    st.latex(_FORMULA)
    down, across = (_with_numbers(work, axis) for axis in (0, 1))
    if down == across:
        st.latex(down)
    else:
        st.latex(rf"\text{{{say('window_sizes.height')}}}\enspace {down}")
        st.latex(rf"\text{{{say('window_sizes.width')}}}\enspace {across}")
    st.caption(say("window_sizes.symbols"))
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
        key = "one" if read == 1 else "many"
        return say(f"window_sizes.kernel.{key}", size=size, channels=read, products=numbers)
    return say(f"window_sizes.window.{'largest' if work.takes_maximum else 'mean'}", size=size)


def _stride(work: vizlib.Convolution | vizlib.Pooling) -> str:
    down, across = (window.stride for window in work.windows)
    if down == across == 1:
        return say("window_sizes.stride.one")
    key = "same" if down == across else "different"
    return say(f"window_sizes.stride.{key}", down=down, across=across)


def _padding(work: vizlib.Convolution | vizlib.Pooling, padded_by: vizlib.LayerInfo | None) -> str:
    above, below, left, right = padding(work)
    if padded_by is not None:
        return say("window_sizes.padding.by_another", layer=as_written(padded_by.name))
    if not any((above, below, left, right)):
        return say("window_sizes.padding.none")
    filled = "zeros" if isinstance(work, vizlib.Convolution) else "nothing"
    sides = {"above": above, "below": below, "left": left, "right": right}
    uneven = say("window_sizes.padding.uneven") * (above != below or left != right)
    return say(f"window_sizes.padding.{filled}", **sides) + uneven


def _dilation(work: vizlib.Convolution | vizlib.Pooling) -> str:
    dilation = _by([window.dilation for window in work.windows])
    reach = _by([window.reach for window in work.windows])
    return say("window_sizes.dilation", size=dilation, reach=reach)


def _groups(work: vizlib.Convolution) -> str:
    read = work.kernel.shape[2]
    if read == 1:
        return say("window_sizes.depthwise")
    return say("window_sizes.groups", groups=work.groups, channels=read)


def _weights(work: vizlib.Convolution) -> str:
    filters = work.outputs.shape[2]
    each = math.prod(work.kernel.shape[:3])
    places = math.prod(work.outputs.shape[:2])
    return say("window_sizes.weights", filters=filters, numbers=each, places=places)


def _by(pair: list[int]) -> str:
    return " x ".join(map(str, pair))
