"""Examples of all that vizlib can say, read off its source: words stand where values would.

A string is followed to where it is made: through constants, choices, variables, parameters and the
functions of vizlib that return it, so that a message put together in five places is found whole.
"""

import ast
import importlib
import inspect
import itertools
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import vizlib

PACKAGE = Path(vizlib.__file__).parent
_DEEPEST = 6  # calls and variables one behind the other
_numbers = itertools.count(1)


class Place(NamedTuple):
    """Where an expression stands."""

    module: ModuleType
    function: ast.FunctionDef | None


def word() -> str:
    """Stand-in for a value, unlike any word of either language."""
    return f"Q{next(_numbers)}"


@cache
def trees() -> dict[str, ast.Module]:
    files = [path for path in PACKAGE.rglob("*.py") if path.name != "__main__.py"]
    return {_name(path): ast.parse(path.read_text(encoding="utf-8")) for path in files}


def _name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def _nodes() -> list[tuple[ast.AST, Place]]:
    """Every node, with the innermost function around it."""
    found: list[tuple[ast.AST, Place]] = []
    for name, tree in trees().items():
        waiting: list[tuple[ast.AST, ast.FunctionDef | None]] = [(tree, None)]
        module = importlib.import_module(name)
        while waiting:
            node, function = waiting.pop()
            found.append((node, Place(module, function)))
            inner = node if isinstance(node, ast.FunctionDef) else function
            waiting += [(child, inner) for child in ast.iter_child_nodes(node)]
    return found


@cache
def _functions() -> dict[tuple[str, str], tuple[ast.FunctionDef, Place]]:
    return {
        (place.module.__name__, node.name): (node, place._replace(function=node))
        for node, place in _nodes()
        if isinstance(node, ast.FunctionDef)
    }


@cache
def _calls() -> dict[tuple[str, str], list[tuple[ast.Call, Place]]]:
    """Every call of a function of vizlib, by module and name of the function."""
    found: dict[tuple[str, str], list[tuple[ast.Call, Place]]] = {}
    for node, place in _nodes():
        if isinstance(node, ast.Call) and (key := _key(node.func, place)):
            found.setdefault(key, []).append((node, place))
    return found


def _key(called: ast.expr, place: Place) -> tuple[str, str] | None:
    if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
        return (place.module.__name__, called.attr) if called.value.id == "self" else None
    if not isinstance(called, ast.Name):
        return None
    target = inspect.unwrap(getattr(place.module, called.id, None) or _nothing)
    return (target.__module__, target.__name__) if inspect.isfunction(target) else None


def _nothing() -> None:
    """Stand-in for what is no function."""


def variants(node: ast.AST | None, place: Place, left: int = _DEEPEST) -> list[str] | None:
    """Texts that an expression can be, or None where it is a value that only a run can tell."""
    follow = _FOLLOW.get(type(node))
    found = follow(node, place, left - 1) if follow and left else None
    return list(dict.fromkeys(found)) if found else None


def _joined(node: ast.JoinedStr, place: Place, left: int) -> list[str]:
    return _together([_shown(part, place, left) for part in node.values])


def _shown(node: ast.expr, place: Place, left: int) -> list[str]:
    if not isinstance(node, ast.FormattedValue):
        return variants(node, place, left + 1) or [word()]
    found = variants(node.value, place, left) or [word()]
    return [repr(text) for text in found] if node.conversion == ord("r") else found


def _together(parts: list[list[str]]) -> list[str]:
    """As many texts as the part with the most variants has, the others in turn."""
    return [
        "".join(part[k % len(part)] for part in parts)
        for k in range(max(map(len, parts), default=0))
    ]


def _sum(node: ast.BinOp, place: Place, left: int) -> list[str] | None:
    sides = [variants(side, place, left) for side in (node.left, node.right)]
    known = isinstance(node.op, ast.Add) and any(sides)
    return _together([side or [word()] for side in sides]) if known else None


def _choice(node: ast.IfExp | ast.BoolOp, place: Place, left: int) -> list[str]:
    options = [node.body, node.orelse] if isinstance(node, ast.IfExp) else node.values
    return [text for one in options for text in variants(one, place, left) or [word()]]


def _variable(node: ast.Name, place: Place, left: int) -> list[str] | None:
    if place.function is None:
        return None
    found = _assigned(node.id, place, left)
    names = [one.arg for one in (*place.function.args.posonlyargs, *place.function.args.args)]
    if node.id in names:
        found += _given(place, names, node.id, left)
    constant = getattr(place.module, node.id, None)
    return found or ([constant] if isinstance(constant, str) else None)


def _assigned(name: str, place: Place, left: int) -> list[str]:
    """What a variable of a function is set to, by itself or as the value of a table's entries."""
    assert place.function is not None
    found: list[str] = []
    for one in ast.walk(place.function):
        if isinstance(one, ast.Assign) and _is(one.targets[0], name):
            found += variants(one.value, place, left) or ()
        pair = isinstance(one, ast.For | ast.comprehension) and isinstance(one.target, ast.Tuple)
        if pair and _is(one.target.elts[-1], name) and isinstance(one.iter, ast.Call):
            found += _table(getattr(one.iter.func, "value", None), place) or ()
    return found


def _is(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _given(place: Place, names: list[str], wanted: str, left: int) -> list[str]:
    """What the callers of a function give it as a parameter."""
    assert place.function is not None
    at = [name for name in names if name != "self"].index(wanted)
    found: list[str] = []
    for call, where in _calls().get((place.module.__name__, place.function.name), ()):
        keywords = {keyword.arg: keyword.value for keyword in call.keywords}
        value = call.args[at] if at < len(call.args) else keywords.get(wanted)
        found += variants(value, where, left) or [word()]
    return found


def _table(node: ast.expr, place: Place) -> list[str] | None:
    """The texts of a constant that holds texts by key."""
    table = getattr(place.module, node.id, None) if isinstance(node, ast.Name) else None
    texts = list(table.values()) if isinstance(table, dict) else []
    return texts if all(isinstance(text, str) for text in texts) else None


def _made(node: ast.Call, place: Place, left: int) -> list[str] | None:
    called = node.func
    if isinstance(called, ast.Attribute) and called.attr == "get":
        return [*(_table(called.value, place) or ()), *_all(node.args[1:], place, left)]
    if isinstance(called, ast.Name) and called.id == "next":
        return _all(node.args, place, left)
    if isinstance(called, ast.Name) and called.id == "repr":
        return [repr(text) for text in _all(node.args, place, left)]
    return _returned(node, place, left)


def _all(nodes: list[ast.expr], place: Place, left: int) -> list[str]:
    return [text for node in nodes for text in variants(node, place, left) or ()]


def _returned(node: ast.Call, place: Place, left: int) -> list[str] | None:
    called = _functions().get(_key(node.func, place) or ("", ""))
    if called is None:
        return None
    function, inside = called
    returns = [one.value for one in ast.walk(function) if isinstance(one, ast.Return) and one.value]
    return _all(returns, inside, left)


_FOLLOW: dict[type, Callable[..., list[str] | None]] = {
    ast.Constant: lambda node, *_: [node.value] if isinstance(node.value, str) else None,
    ast.JoinedStr: _joined,
    ast.BinOp: _sum,
    ast.IfExp: _choice,
    ast.BoolOp: _choice,
    ast.Name: _variable,
    ast.Subscript: lambda node, place, _left: _table(node.value, place),
    ast.GeneratorExp: lambda node, place, left: variants(node.elt, place, left),
    ast.Call: _made,
}


def raised(*names: str) -> Iterator[tuple[str, str]]:
    """Module, and a text that an exception of one of these classes is made with there."""
    for node, place in _nodes():
        made = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        if made and node.func.id in names and node.args:
            for text in variants(node.args[0], place) or ():
                yield _module(place), text


def sentences() -> Iterator[tuple[str, str]]:
    """Module, and a sentence that is said there, in an error or not, but not in documentation."""
    inner = {id(part) for node, _ in _nodes() for part in _parts(node)}
    for node, place in _nodes():
        if isinstance(node, ast.Constant | ast.JoinedStr | ast.BinOp) and id(node) not in inner:
            for text in variants(node, place) or ():
                if text[:1].isupper() and text.endswith((".", "?")) and len(text.split()) >= 3:
                    yield _module(place), text


def told() -> Iterator[tuple[str, str]]:
    """Module, and a text, be it one word, that is told there in the language of the reader."""
    for node, place in _nodes():
        tells = isinstance(node, ast.Call) and _is(node.func, "tell")
        # What another function says is found there.
        if tells and not isinstance(node.args[0], ast.Call):
            for text in variants(node.args[0], place) or ():
                yield _module(place), text


def _parts(node: ast.AST) -> list[ast.AST]:
    """What is no text by itself: documentation, and pieces of a longer one."""
    if isinstance(node, ast.Expr):
        return [node.value]
    if isinstance(node, ast.JoinedStr):
        return [*node.values, *(getattr(one, "format_spec", None) or one for one in node.values)]
    return [node.left, node.right] if isinstance(node, ast.BinOp) else []


def _module(place: Place) -> str:
    return place.module.__name__.removeprefix("vizlib.")
