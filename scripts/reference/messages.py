"""What the errors of the command say, read from its source: for docs/reference/errors.md."""

from __future__ import annotations

import ast
import inspect
import pkgutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

import ml_containerize
from ml_containerize.errors import ContainerizeError
from reference.literals import HOLE, literal


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
    modules = _modules()
    found = [said for cause in every for said in dict.fromkeys(_said_by(cause, modules)) if said.what]
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


@dataclass(frozen=True, slots=True)
class _Module:
    """What one walk through a module finds: constructors, calls of plain names, and what names stand for."""

    constructors: Mapping[str, ast.FunctionDef]
    calls: Sequence[ast.Call]
    names: Mapping[str, ast.expr]


def _modules() -> dict[str, _Module]:
    """Every module of the package that is imported, by name."""
    files = {name: one.__file__ for name, one in sys.modules.items() if name.startswith("ml_containerize.")}
    return {name: _read(ast.parse(Path(file).read_text())) for name, file in files.items() if file}


def _read(tree: ast.Module) -> _Module:
    constructors, calls, names = {}, [], {}
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef(name=name, body=body):
                for one in body:
                    if isinstance(one, ast.FunctionDef) and one.name == "__init__":
                        constructors[name] = one
            case ast.Call(func=ast.Name()):
                calls.append(node)
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                names[name] = value
    return _Module(constructors, calls, names)


def _said_by(cause: type[ContainerizeError], modules: Mapping[str, _Module]) -> Iterator[Message]:
    """What its constructor hands on; what it has none of itself, is said wherever it is raised."""
    own = list(_constructed(cause, modules[cause.__module__]))
    if any(message.what for message in own):
        yield from own
        return
    fix = own[0].fix if own else ""
    for module in modules.values():
        for call in module.calls:
            if getattr(call.func, "id", "") == cause.__name__:
                said = _message(cause, call, module.names)
                yield replace(said, fix=said.fix or fix)


def _constructed(cause: type[ContainerizeError], module: _Module) -> Iterator[Message]:
    """What the constructor of the class, if it has one, gives its base."""
    constructor = module.constructors.get(cause.__name__)
    if constructor is None:
        return
    arguments, values = constructor.args.args[::-1], constructor.args.defaults[::-1]
    defaults = {argument.arg: value for argument, value in zip(arguments, values, strict=False)}
    for call in ast.walk(constructor):
        if isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "__init__":
            yield _message(cause, call, {**module.names, **defaults})


def _message(cause: type[ContainerizeError], call: ast.Call, names: Mapping[str, ast.expr]) -> Message:
    what, fix = (*(literal(argument, names) for argument in call.args[:2]), "", "")[:2]
    return Message(cause, *("" if not text.strip(" :" + HOLE) else text for text in (what, fix)))
