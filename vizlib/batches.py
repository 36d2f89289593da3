"""Long questions are asked in batches: what they share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

#: ``progress(done, total)``; raising from it cancels.
Progress = Callable[[int, int], None]


def share(progress: Progress | None, number: int, count: int) -> Progress | None:
    """Progress of one of ``count`` parts of the same length, as progress of the whole."""
    if progress is None:
        return None
    return lambda done, total: progress(number * total + done, count * total)


def in_batches(count: int, size: int, progress: Progress | None = None) -> Iterator[range]:
    """Split ``range(count)`` into ranges of at most ``size``, and tell how far the caller is.

    ``progress`` hears of a range once the caller asks for the next.
    """
    for start in range(0, count, size):
        stop = min(start + size, count)
        yield range(start, stop)
        if progress is not None:
            progress(stop, count)
