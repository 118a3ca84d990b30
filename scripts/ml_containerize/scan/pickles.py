"""What a pickle would import, found by walking its opcodes; nothing of it is loaded.

The machine: https://github.com/python/cpython/blob/3.13/Lib/pickletools.py. joblib's files are pickles with
the bytes of arrays between the opcodes: https://github.com/joblib/joblib/blob/1.5.0/joblib/numpy_pickle.py.
"""

from __future__ import annotations

import math
import pickletools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO

from ml_containerize.scan.imports import HIDDEN, Import

_BLOCK = 2**20  # bytes
_DEEPEST = 20  # pickles inside of a pickle's arrays
_MARK = object()
_ARRAY = Import("joblib.numpy_pickle", "NumpyArrayWrapper")
_DTYPE = re.compile(r"[<>|=]?([A-Za-z])([0-9]+)", re.ASCII)


@dataclass(slots=True)
class _Made:
    """What a call would give."""

    callable: object
    arguments: object
    state: object = None

    @property
    def is_array(self) -> bool:
        """True for joblib's stand-in for an array, whose bytes follow in the file."""
        made = self.callable
        if isinstance(made, Import) and made.name == "_reconstructor" and isinstance(self.arguments, tuple):
            made = self.arguments[0]
        return made == _ARRAY


def imports_in(stream: IO[bytes], depth: int = 0) -> Iterator[Import]:
    """Every name that loading the pickle would import, in order. Raises ValueError for what is none."""
    if depth > _DEEPEST:
        raise ValueError("pickles are nested too deeply")
    machine = _Machine()
    for opcode, argument, _ in pickletools.genops(stream):
        try:
            found = machine.step(opcode, argument)
        except (IndexError, KeyError, AttributeError) as error:
            raise ValueError(f"the opcode {opcode.name} lacks what it works on") from error
        if found:
            yield found
        if opcode.name == "BUILD":
            yield from _array_in(stream, machine.stack[-1], depth)


def _array_in(stream: IO[bytes], built: object, depth: int) -> Iterator[Import]:
    """Pass over an array's bytes; an array of objects is a pickle of its own."""
    if not (isinstance(built, _Made) and built.is_array and isinstance(built.state, dict)):
        return
    shape, dtype = built.state.get("shape"), built.state.get("dtype")
    arguments = dtype.arguments if isinstance(dtype, _Made) else ()
    code = _DTYPE.fullmatch(str(arguments[0])) if isinstance(arguments, tuple) and arguments else None
    if code is None or not isinstance(shape, tuple) or not all(isinstance(one, int) for one in shape):
        raise ValueError("an array's shape or type cannot be read")
    if code[1] == "O":
        yield from imports_in(stream, depth + 1)
        return
    if built.state.get("numpy_array_alignment_bytes") is not None:
        _skip(stream, int.from_bytes(stream.read(1), "little"))
    _skip(stream, math.prod(shape) * int(code[2]) * (4 if code[1] == "U" else 1))


def _skip(stream: IO[bytes], size: int) -> None:
    while size > 0:
        passed = len(stream.read(min(size, _BLOCK)))
        if not passed:
            raise ValueError("it was cut off")
        size -= passed


@dataclass(slots=True)
class _Machine:
    """The unpickler's stack and memo, with texts, tuples and dicts; of other values only their places."""

    stack: list[object] = field(default_factory=list)
    memo: dict[int, object] = field(default_factory=dict)

    def step(self, opcode: pickletools.OpcodeInfo, argument: object) -> Import | None:
        """Do as the opcode says; the name that it imports, if it does."""
        match opcode.name:
            case "MARK":
                self.stack.append(_MARK)
            case "POP":
                self.stack.pop()
            case "POP_MARK":
                self._to_mark()
            case "DUP":
                self.stack.append(self.stack[-1])
            case "MEMOIZE":
                self.memo[len(self.memo)] = self.stack[-1]
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                self.memo[_index(argument)] = self.stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                self.stack.append(self.memo[_index(argument)])
            case "GLOBAL" | "INST" | "STACK_GLOBAL" | "EXT1" | "EXT2" | "EXT4":
                return self._import(opcode.name, argument)
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                self.stack.append(tuple(reversed([self.stack.pop() for _ in range(int(opcode.name[-1]))])))
            case "EMPTY_TUPLE" | "TUPLE":
                self.stack.append(tuple(self._to_mark()) if opcode.name == "TUPLE" else ())
            case "EMPTY_DICT" | "DICT":
                self.stack.append(_pairs(self._to_mark()) if opcode.name == "DICT" else {})
            case "SETITEM" | "SETITEMS":
                items = self._to_mark() if opcode.name == "SETITEMS" else [*reversed(self._pop(2))]
                if isinstance(self.stack[-1], dict):
                    self.stack[-1].update(_pairs(items))
            case "REDUCE" | "NEWOBJ" | "NEWOBJ_EX":
                arguments, made, *_ = self._pop(3 if opcode.name == "NEWOBJ_EX" else 2)
                self.stack.append(_Made(made, arguments))
            case "BUILD":
                state = self.stack.pop()
                if isinstance(self.stack[-1], _Made):
                    self.stack[-1].state = state
            case _:
                self._other(opcode, argument)
        return None

    def _import(self, opcode: str, argument: object) -> Import:
        found = HIDDEN
        if opcode == "STACK_GLOBAL":
            name, module = self._pop(2)
            if isinstance(name, str) and isinstance(module, str):
                found = Import(module, name)
        elif opcode.startswith("EXT"):
            found = Import("copyreg", f"extension {argument}")
        else:
            module, _, name = str(argument).partition(" ")
            found = Import(module, name)
        self.stack.append(_Made(found, tuple(self._to_mark())) if opcode == "INST" else found)
        return found

    def _other(self, opcode: pickletools.OpcodeInfo, argument: object) -> None:
        """Take from the stack and put onto it as many values as the opcode's description says."""
        before = [one.name for one in opcode.stack_before]
        if "mark" in before:
            self._to_mark()
            before = before[: before.index("mark")]
        taken = self._pop(len(before))
        if opcode.stack_after:
            self.stack.append(taken[-1] if taken else argument)

    def _pop(self, count: int) -> list[object]:
        """The topmost values, the top first."""
        return [self.stack.pop() for _ in range(count)]

    def _to_mark(self) -> list[object]:
        """The values above the topmost mark, which goes with them."""
        above: list[object] = []
        while (value := self.stack.pop()) is not _MARK:
            above.append(value)
        return above[::-1]


def _index(argument: object) -> int:
    return int(str(argument))


def _pairs(items: list[object]) -> dict[str, object]:
    """A dict's members whose keys are texts."""
    return {key: value for key, value in zip(items[::2], items[1::2], strict=False) if isinstance(key, str)}
