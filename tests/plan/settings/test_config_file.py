from __future__ import annotations

from pathlib import Path

import pytest

from ml_containerize.plan.settings.config_file import ConfigFile, read_config


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "c.yaml"


def read(path: Path, content: str | bytes) -> ConfigFile:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_config(path, path.name)


def told(file: ConfigFile) -> list[str]:
    return [str(problem) for problem in file.problems]


def test_values_have_json_types_and_positions(path: Path) -> None:
    file = read(path, "a: text\nb: [1, 2.5, true, null]\nc: {d: '1'}\n")
    assert file.values == {"a": "text", "b": [1, 2.5, True, None], "c": {"d": "1"}}
    assert file.where(("b", 1)) == "c.yaml:2:8"
    assert file.where(("c", "d")) == "c.yaml:3:8"
    assert file.where(("b", 9)) == "c.yaml:2:4"
    assert file.keys["b"] == "c.yaml:2:1"


@pytest.mark.parametrize("text", ["no", "off", "y", "0755", "1:30", "2026-01-01", "1_000", "0x10", ".inf"])
def test_what_only_yaml_1_1_reads_as_something_else_stays_text(path: Path, text: str) -> None:
    value = read(path, f"a: {text}").values["a"]
    assert value == (755 if text == "0755" else text)


def test_an_empty_file_says_nothing(path: Path) -> None:
    for content in ("", "# only a comment\n", "---\n", "\N{BYTE ORDER MARK}"):
        assert read(path, content).values == {}


def test_duplicate_keys_are_refused_with_both_lines(path: Path) -> None:
    assert told(read(path, "a: 1\nb: 2\na: 3\n")) == ["c.yaml:3:1: duplicate key 'a', first on line 1"]


def test_anchors_and_aliases_are_fine(path: Path) -> None:
    file = read(path, "a: &x [one]\nb: *x\n")
    assert file.values == {"a": ["one"], "b": ["one"]}
    assert file.problems == []


def test_an_alias_bomb_is_refused_before_it_grows(path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    assert "more values than a config file can need" in told(read(path, "\n".join(lines)))[0]


def test_an_alias_of_itself_is_refused(path: Path) -> None:
    assert "more values than a config file can need" in told(read(path, "a: &a [*a]"))[0]


def test_deep_nesting_is_refused(path: Path) -> None:
    assert told(read(path, "[" * 2_000)) == ["c.yaml: nested too deeply"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("a: [1, 2", "c.yaml:1:9: while parsing a flow sequence expected ',' or ']', but got '<stream end>'"),
        ("a: b: c", "c.yaml:1:5: mapping values are not allowed here"),
        ("a:\n\t- b", "c.yaml:2:1: while scanning for the next token found character '\\t'"),
        ("a: *x", "c.yaml:1:4: found undefined alias 'x'"),
        (
            "a: 1\n---\nb: 2",
            "c.yaml:2:1: expected a single document in the stream but found another document",
        ),
        ("a: 1\nb: \x07", "c.yaml:2:1: the character #x07 is not allowed in YAML"),
        ("- a", "c.yaml: the file must be a mapping"),
        ("just text", "c.yaml: the file must be a mapping"),
        ("? [a]\n: b", "c.yaml:1:3: a key must be a text"),
        ("<<: {a: 1}", "c.yaml:1:1: merge keys (<<) are not accepted"),
        ("a: !!python/object:os.system x", "c.yaml:1:4: the YAML tag"),
        (b"a: \xff", "c.yaml: not UTF-8 at byte 3"),
        ("a: " + "x" * 70_000, "c.yaml: larger than 64 KiB"),
    ],
)
def test_what_is_wrong_is_told_with_file_line_and_column(path: Path, content: str | bytes, why: str) -> None:
    assert told(read(path, content))[0].startswith(why)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    file = read_config(tmp_path / "none.yaml", "none.yaml")
    assert told(file) == ["none.yaml: cannot be read: No such file or directory"]
