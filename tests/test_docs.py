"""The pages name nothing that does not exist: no dead link, unknown flag, or workflow that GitHub refuses."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import check_jsonschema
import jsonschema
import pytest
import yaml
from support.pages import PAGES, ROOT, Block, anchors, blocks, prose

from ml_containerize import cli
from ml_containerize.init.texts import workflow_text
from ml_containerize.plan.settings.views import json_schema
from reference.commands import commands
from reference.literals import HOLE
from reference.messages import causes, messages
from reference.workflows import interface

SCHEMAS = Path(check_jsonschema.__file__).parent / "builtin_schemas" / "vendor"
WORKFLOWS = ROOT / ".github" / "workflows"
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")
COMMANDS = {name for name, _about, _parser in commands(cli.parser())}
CONSOLE = blocks("console")
YAML = blocks("yaml")


def short(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=short)
def test_every_relative_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_page_is_reached_from_the_first() -> None:
    seen, todo = set(), [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        if page not in seen and page.suffix == ".md":
            seen.add(page)
            links = re.findall(r"\]\(([^)#\s:]+)[^)]*\)", prose(page))
            todo += [(page.parent / link).resolve() for link in links]
    assert [short(page) for page in PAGES if page not in seen] == ["docs/README.md"]


def typed(text: str) -> Iterator[list[str]]:
    """The arguments of every call of the command in a line of shell, also inside of `$(…)` and pipes."""
    for found in re.finditer(r"(?:^|[($|;&] ?)ml-containerize ((?:[^|;&()'\"]|'[^']*'|\"[^\"]*\")*)", text):
        yield shlex.split(found[1].replace("$IMAGE", f"ghcr.io/org/digits@sha256:{64 * '0'}"))


def refusal(argv: list[str]) -> str:
    """What the parser says against the arguments, '' where it takes them."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.suppress(SystemExit):
        cli.parser().parse_args(argv)
    return said.getvalue()


@pytest.mark.parametrize("block", CONSOLE, ids=str)
def test_the_parser_knows_every_command_and_flag_of_a_block(block: Block) -> None:
    assert block.commands()
    for line in block.commands():
        for argv in typed(line):
            assert refusal(argv) == ""


@pytest.mark.parametrize("page", PAGES, ids=short)
def test_the_prose_names_no_command_that_is_not_there(page: Path) -> None:
    named = set(re.findall(r"`ml-containerize ([a-z][a-z-]*)", prose(page)))
    assert named <= COMMANDS


def test_every_flag_of_the_command_that_the_prose_names_is_there() -> None:
    known = {
        flag
        for *_, one in commands(cli.parser())
        for action in one._actions
        for flag in action.option_strings
    }
    for page in PAGES:
        for text in re.findall(r"`ml-containerize [^`]*`", prose(page)):
            assert set(re.findall(r"--[a-z][\w-]*", text)) <= known, f"{short(page)}: {text}"


@pytest.mark.parametrize("block", [block for block in YAML if block.is_workflow], ids=str)
def test_a_workflow_is_one_that_github_and_what_it_uses_accept(block: Block) -> None:
    schema = json.loads((SCHEMAS / "github-workflows.json").read_text())
    document = {("on" if key is True else key): value for key, value in yaml.safe_load(block.text).items()}
    jsonschema.validate(document, schema)
    assert "permissions" in document
    for job in document["jobs"].values():
        for used in (job, *job.get("steps", ())):
            if "uses" in used:
                check_use(used)


def check_use(used: dict[str, Any]) -> None:
    given, secrets = set(used.get("with", ())), set(used.get("secrets", ()))
    name = re.fullmatch(r"org/ml-containerize(?:/\.github/workflows/([\w-]+\.yml))?@v1", used["uses"])
    if name is None:
        assert PINNED.fullmatch(used["uses"]), f"{used['uses']} is not pinned by its commit"
    elif name[1] is None:
        assert given <= set(ACTION["inputs"])
    else:
        called = interface((WORKFLOWS / name[1]).read_text())
        assert given <= set(called["inputs"])
        assert secrets <= set(called.get("secrets", ()))


@pytest.mark.parametrize("block", [block for block in YAML if not block.is_workflow], ids=str)
def test_a_configuration_is_one_that_the_schema_accepts(block: Block) -> None:
    document = yaml.safe_load(block.text)
    if isinstance(document, dict):
        jsonschema.validate(document, json_schema())
    else:
        for step in document:
            check_use(step)


def test_the_readmes_workflow_is_short_and_does_what_init_writes() -> None:
    (block, *_) = [block for block in YAML if block.page.name == "README.md"]
    assert len(block.text.splitlines()) <= 13
    written = yaml.safe_load(workflow_text("ghcr.io/org/{name}", "main"))
    shown = yaml.safe_load(block.text)
    assert shown[True]["push"] == written[True]["push"]
    for name, job in shown["jobs"].items():
        same = ("permissions", "uses", "with")
        assert {key: job[key] for key in same} == {key: written["jobs"][name][key] for key in same}


@pytest.mark.parametrize("block", blocks("json"), ids=str)
def test_json_is_json(block: Block) -> None:
    json.loads(block.text)


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_python_is_python(block: Block) -> None:
    compile(block.text, str(block), "exec")


def test_every_error_has_its_words_on_the_page_of_errors() -> None:
    page = squeezed((ROOT / "docs" / "reference" / "errors.md").read_text())
    told = {message.cause for message in messages() if squeezed(message.what) in page}
    assert told == set(causes())
    assert not [message.cause.__name__ for message in messages() if not message.what.strip(HOLE + " :")]


def test_troubleshooting_quotes_messages_that_exist() -> None:
    errors = squeezed((ROOT / "docs" / "reference" / "errors.md").read_text())
    page = (ROOT / "docs" / "how-to" / "troubleshoot.md").read_text()
    quoted = re.findall(r"^## `(.+)`$", page, re.MULTILINE)
    assert len(quoted) > 10
    for message in quoted:
        assert all(part.strip() in errors for part in squeezed(message).split(HOLE)), message


def squeezed(text: str) -> str:
    """The words alone: no escapes, no line ends."""
    return " ".join(text.replace("\\", "").split())
