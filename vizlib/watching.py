"""Watch, or take part in, the calls of layers inside a model while it runs.

Building ``keras.Model(inputs, inner.output)`` fails for nested, shared and subclassed layers.
Wrapping ``layer.call`` on the instance for the length of one run reaches all of them. Whatever
is wrapped is given back in ``finally``, and one lock per layer keeps two threads apart.
"""

from __future__ import annotations

import functools
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import keras

#: ``handler(name, operation, inputs, run)`` returns the output, usually ``run()``.
Handler = Callable[[str, Any, Any, Callable[[], Any]], Any]

_locks: weakref.WeakKeyDictionary[Any, threading.RLock] = weakref.WeakKeyDictionary()
_locks_guard = threading.Lock()


class StopRunning(BaseException):
    """Raised by a handler that has seen enough; not an `Exception`, so no layer swallows it."""


def children(operation: Any) -> list[Any]:
    """Layers and operations directly inside a model or layer, inputs left out."""
    if isinstance(operation, keras.Sequential):
        found = operation.layers
    elif isinstance(operation, keras.Function):
        found = operation.operations
    elif isinstance(operation, keras.Layer):
        found = operation._flatten_layers(include_self=False, recursive=False)
    else:
        found = []
    return [child for child in found if not isinstance(child, keras.layers.InputLayer)]


def operations_by_path(model: keras.Model) -> dict[Any, str]:
    """Every layer and operation inside a model with its path, such as ``"vgg16/block5_conv3"``."""
    paths: dict[Any, str] = {}

    def visit(parent: Any, prefix: str) -> None:
        for child in children(parent):
            if child not in paths:
                paths[child] = prefix + child.name
                visit(child, paths[child] + "/")

    visit(model, "")
    return paths


@contextmanager
def watching(
    model: keras.Model, operations: dict[Any, str], handler: Handler, *, any_size: bool = False
) -> Iterator[None]:
    """Let a handler take part in every call that this thread makes of the given operations.

    Parameters
    ----------
    model : keras.Model
        The model that will be run.
    operations : dict
        Operations inside it with their paths, as `operations_by_path` gives them.
    handler : callable
        ``handler(name, operation, inputs, run) -> output``. ``name`` is the path; from the second
        call on (shared layers) ``":2"``, ``":3"`` ... is added. ``run()`` makes the real call.
    any_size : bool
        Let the model, and the models inside it, run on another image size than they declare.
    """
    sized = _models(model) if any_size else []
    calls: Counter[str] = Counter()
    with ExitStack() as stack:
        # All at once and in one order for everybody, so that two threads cannot wait in a ring.
        for shared in sorted({*operations, *sized}, key=id):
            stack.enter_context(_lock(shared))
        for inner in sized:
            stack.enter_context(_borrowed(inner, "_assert_input_compatibility", _accept_anything))
        for operation, path in operations.items():
            watched = _watched(operation, path, calls, handler)
            stack.enter_context(_borrowed(operation, "call", watched))
        yield


def _watched(
    operation: Any, path: str, calls: Counter[str], handler: Handler
) -> Callable[..., Any]:
    thread = threading.get_ident()
    original = operation.call

    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        run = functools.partial(original, *args, **kwargs)
        if threading.get_ident() != thread:
            return run()
        calls[path] += 1
        name = path if calls[path] == 1 else f"{path}:{calls[path]}"
        return handler(name, operation, args[0] if args else kwargs, run)

    return call


def _models(model: keras.Model) -> list[keras.Model]:
    inner = [child for child in operations_by_path(model) if isinstance(child, keras.Model)]
    return [model, *inner]


def _lock(operation: Any) -> threading.RLock:
    with _locks_guard:
        return _locks.setdefault(operation, threading.RLock())


def _accept_anything(*_: Any) -> None:
    """Stand in for the check of a model's declared input shape."""


def run_with_pre_activation(operation: Any, run: Callable[[], Any]) -> tuple[Any, Any]:
    """Run a layer inside a handler; returns its output and what went into its activation.

    Both are the output for a layer without an activation of its own.
    """
    activation = getattr(operation, "activation", None)
    if activation is None:
        output = run()
        return output, output
    thread, seen = threading.get_ident(), []

    def activate(values: Any) -> Any:
        if threading.get_ident() == thread:
            seen.append(values)
        return activation(values)

    with _borrowed(operation, "activation", activate):
        output = run()
    return output, seen[-1] if seen else output


@contextmanager
def _borrowed(owner: Any, attribute: str, replacement: Any) -> Iterator[None]:
    # Not setattr: Keras would try to track the replacement as part of the layer's state.
    had_own = attribute in vars(owner)
    before = vars(owner).get(attribute)
    object.__setattr__(owner, attribute, replacement)
    try:
        yield
    finally:
        if had_own:
            object.__setattr__(owner, attribute, before)
        else:
            object.__delattr__(owner, attribute)
