"""Texts of visitors and of their files, in places where Streamlit draws Markdown."""

import re

# What begins formatting, pictures, links, formulas, HTML and entities anywhere in a line, ...
_ANYWHERE = re.compile(r"([\\`*_\[\]<$~|&])")
# ... and what begins a heading, a quotation or a list at its start.
_AT_THE_START = re.compile(r"^(\d*)([-+#>=.)])")
# Addresses, :colours[] and :icons: are drawn even where they are escaped. A word joiner takes no
# room, and keeps them from being recognised.
_INSIDE_NAMES = re.compile(r"(?<=[:@])(?=\S)|(?<=www)(?=\.)", re.IGNORECASE)


def as_written(text: str, longest: int | None = None) -> str:
    """Escape a text so that it is shown as it is written, on one line.

    Streamlit draws Markdown nearly everywhere. A picture in the name of a file, or in a name inside
    a file, would be fetched from a stranger's host. Marks that cannot be seen, such as those that
    turn the direction of reading, are left out.
    """
    line = " ".join("".join(mark if mark.isprintable() else " " for mark in text).split())
    if longest is not None and len(line) > longest:
        line = f"{line[: longest // 2]} … {line[-longest // 2 :]}"
    line = _INSIDE_NAMES.sub("\u2060", line)
    return _AT_THE_START.sub(r"\1\\\2", _ANYWHERE.sub(r"\\\1", line))
