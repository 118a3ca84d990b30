"""The config file: YAML held to the JSON types, each value with its line and column."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from ml_containerize.plan.settings.problems import Part, Problem, Wrong

SIZE_LIMIT = 64 * 1024  # bytes
NODE_LIMIT = 10_000  # after every alias is expanded
DEPTH_LIMIT = 8

Where = tuple[Part, ...]

# YAML 1.2, "Core Schema": YAML 1.1 would read `no`, `0755` and `1:30` as something else than text
_INTEGER = re.compile(r"[-+]?[0-9]{1,15}")
_NUMBER = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]{1,2})?")
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_TAG = "tag:yaml.org,2002:"
_PLAIN_TAGS = {f"{_TAG}{name}" for name in ("bool", "int", "float", "null", "str", "timestamp", "value")}


@dataclass(slots=True)
class ConfigFile:
    """What a config file says: plain values, and the line and column (from 1) of each and of each option."""

    name: str
    values: dict[str, object] = field(default_factory=dict)
    positions: dict[Where, str] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def where(self, path: Where) -> str:
        """`ml-containerize.yaml:3:9`, of the nearest value on the way to `path` that has a position."""
        while path and path not in self.positions:
            path = path[:-1]
        return self.positions[path]


def read_config(path: Path, name: str) -> ConfigFile:
    """Read the file; what is wrong with it is collected in `problems`, not raised."""
    file = ConfigFile(name)
    try:
        root = _compose(_text(path), file)
        if root is not None:
            file.values = _Reader(file).document(root)
    except Wrong as error:
        file.problems += [p if p.where else p.at(name) for p in error.problems]
    return file


def _text(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            content = stream.read(SIZE_LIMIT + 1)
        if len(content) > SIZE_LIMIT:
            raise Wrong(Problem("larger than 64 KiB, which no config file needs to be"))
        return content.decode("utf-8-sig")
    except OSError as error:
        raise Wrong(Problem(f"cannot be read: {error.strerror}")) from error
    except UnicodeDecodeError as error:
        raise Wrong(Problem(f"not UTF-8 at byte {error.start}")) from error


def _compose(text: str, file: ConfigFile) -> yaml.Node | None:
    """Parse YAML into nodes, which never expands an alias."""
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        why = " ".join(part for part in (error.context, error.problem) if part)
        raise Wrong(Problem(why, where=f"{file.name}:{_position(mark)}")) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        why = f"the character #x{error.character:02x} is not allowed in YAML"
        raise Wrong(Problem(why, where=f"{file.name}:{line}:1")) from error
    except RecursionError as error:
        raise Wrong(Problem("nested too deeply")) from error


def _position(mark: yaml.Mark | None) -> str:
    return f"{mark.line + 1}:{mark.column + 1}" if mark else "1:1"


@dataclass(slots=True)
class _Reader:
    """Turns nodes into plain values, counting them so that aliases cannot multiply without end."""

    file: ConfigFile
    count: int = 0

    def document(self, root: yaml.Node) -> dict[str, object]:
        value = self._value(root, ())
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise Wrong(Problem("the file must be a mapping, with lines like `option: value`"))
        return value

    def _value(self, node: yaml.Node, path: Where) -> object:
        self.count += 1
        if self.count > NODE_LIMIT or len(path) > DEPTH_LIMIT:
            raise Wrong(Problem("aliases or nesting make more values than a config file can need"))
        self.file.positions[path] = self._where(node)
        if isinstance(node, yaml.MappingNode):
            return self._members(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._scalar(node)

    def _members(self, node: yaml.MappingNode, path: Where) -> dict[str, object]:
        members: dict[str, object] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            if not isinstance(key_node, yaml.ScalarNode):
                self._problem("a key must be a text", key_node)
            elif key_node.tag == f"{_TAG}merge":
                self._problem("merge keys (<<) are not accepted; write the keys out", key_node)
            elif key in members:
                self._problem(f"duplicate key {key!r}, first on line {lines[key]}", key_node)
            else:
                lines[key] = key_node.start_mark.line + 1
                if not path:
                    self.file.keys[key] = self._where(key_node)
                members[key] = self._value(value_node, (*path, key))
        return members

    def _scalar(self, node: yaml.Node) -> object:
        text = str(node.value)
        if node.tag not in _PLAIN_TAGS:
            self._problem(f"the YAML tag {node.tag!r} is not accepted", node)
            return None
        quoted = isinstance(node, yaml.ScalarNode) and node.style
        return text if quoted or node.tag == f"{_TAG}str" else _plain(text)

    def _problem(self, message: str, node: yaml.Node) -> None:
        self.file.problems.append(Problem(message, where=self._where(node)))

    def _where(self, node: yaml.Node) -> str:
        return f"{self.file.name}:{_position(node.start_mark)}"


def _plain(text: str) -> object:
    """A scalar without quotes, as YAML 1.2's core schema reads it."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else text
