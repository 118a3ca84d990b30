"""What the errors of the command say, read from its source: for docs/reference/errors.md."""

from __future__ import annotations

import ast
import inspect
import pkgutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

import ml_containerize
from ml_containerize.errors import ContainerizeError

HOLE = "…"


@dataclass(frozen=True, slots=True)
class Message:
    """What an error says, and its advice, with a hole for whatever differs from case to case."""

    cause: type[ContainerizeError]
    what: str
    fix: str


def causes() -> list[type[ContainerizeError]]:
    """Every error class of the package that says something of its own, by exit code and name."""
    _import_everything()
    found = {*_below(ContainerizeError)}
    return sorted(found, key=lambda one: (one.exit_code, one.__name__))


def messages() -> list[Message]:
    """Every message, by exit code and cause; an error without words of its own says only its docstring."""
    every = causes()
    sources = _sources()
    found = [said for cause in every for said in dict.fromkeys(_said_by(cause, sources)) if said.what]
    silent = set(every) - {message.cause for message in found}
    summed = [Message(cause, inspect.cleandoc(cause.__doc__ or ""), "") for cause in silent]
    return sorted([*found, *summed], key=_place_on_the_page)


def _place_on_the_page(message: Message) -> tuple[int, str, str, str]:
    return message.cause.exit_code, message.cause.__name__, message.what, message.fix


def _below(cause: type[ContainerizeError]) -> Iterator[type[ContainerizeError]]:
    for child in cause.__subclasses__():
        inside = child.__module__.startswith("ml_containerize.")
        if inside and child.__module__ != ContainerizeError.__module__ and not child.__name__.startswith("_"):
            yield child
        yield from _below(child)


def _import_everything() -> None:
    for module in pkgutil.walk_packages(ml_containerize.__path__, "ml_containerize."):
        if not module.name.endswith("__main__") and "._serving" not in module.name:
            import_module(module.name)


def _sources() -> dict[str, ast.Module]:
    """The syntax tree of every module that is imported, by name."""
    files = {
        name: module.__file__ for name, module in sys.modules.items() if name.startswith("ml_containerize.")
    }
    return {name: ast.parse(Path(file).read_text()) for name, file in files.items() if file}


def _said_by(cause: type[ContainerizeError], sources: dict[str, ast.Module]) -> Iterator[Message]:
    """What its constructor hands on; what it has none of itself, is said wherever it is raised."""
    tree = sources[cause.__module__]
    own = [message for message in _constructed(cause, tree) if message.what or message.fix]
    if any(message.what for message in own):
        yield from own
        return
    fix = own[0].fix if own else ""
    for tree in sources.values():
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") == cause.__name__:
                said = _message(cause, call, tree)
                yield replace(said, fix=said.fix or fix)


def _constructed(cause: type[ContainerizeError], tree: ast.Module) -> Iterator[Message]:
    """What the constructor of the class, if it has one, gives its base."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and (cause.__name__, node.name) == _place(node, tree):
            given = zip(node.args.args[::-1], node.args.defaults[::-1], strict=False)
            defaults = {argument.arg: default for argument, default in given}
            for call in ast.walk(node):
                if isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "__init__":
                    yield _message(cause, call, tree, defaults)


def _place(constructor: ast.FunctionDef, tree: ast.Module) -> tuple[str, str]:
    """The class that a function is the constructor of."""
    owners = [one.name for one in tree.body if isinstance(one, ast.ClassDef) and constructor in one.body]
    return (owners[0] if owners else "", "__init__")


def _message(
    cause: type[ContainerizeError], call: ast.Call, tree: ast.Module, defaults: Mapping[str, ast.expr] = {}
) -> Message:
    names = {**_constants(tree), **defaults}
    what, fix = (*(_text(argument, names) for argument in call.args[:2]), "", "")[:2]
    return Message(cause, *("" if not text.strip(" :" + HOLE) else text for text in (what, fix)))


def _constants(tree: ast.Module) -> dict[str, ast.expr]:
    """Whatever is assigned to a name of its own in the module, at any depth."""
    return {
        target.id: node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _text(node: ast.expr, names: dict[str, ast.expr]) -> str:
    match node:
        case ast.Constant(value=str() as value):
            return value
        case ast.JoinedStr(values=values):
            return "".join(
                _text(one.value, names) if isinstance(one, ast.FormattedValue) else _text(one, names)
                for one in values
            )
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _text(left, names) + _text(right, names)
        case ast.Call(
            func=ast.Attribute(value=ast.Constant(value=str() as glue), attr="join"),
            args=[ast.Tuple(elts=parts)],
        ):
            return glue.join(HOLE if isinstance(part, ast.Starred) else _text(part, names) for part in parts)
        case ast.IfExp(body=body, orelse=orelse):
            return _either(_text(body, names), _text(orelse, names))
        case ast.Name(id=name) if name in names:
            return _text(names[name], {key: value for key, value in names.items() if key != name})
    return HOLE


def _either(one: str, other: str) -> str:
    return f"{one} / {other}" if one.strip(HOLE) and other.strip(HOLE) else one if one.strip(HOLE) else other
