"""The page about what can be refused, with its advice: errors.md."""

from __future__ import annotations

from reference.commands import bases
from reference.messages import Message, messages
from reference.text import NOTE, prose


def errors_page() -> str:
    said = messages()
    titles = {one.exit_code: one.title for one in reversed(bases())}
    sections = "\n".join(
        _section(code, titles.get(code, "interrupted"), [one for one in said if one.cause.exit_code == code])
        for code in sorted({one.cause.exit_code for one in said})
    )
    return f"""# Error messages

{NOTE}
Everything that the command can refuse with, and its advice, as it stands in the source; `…` stands for what
differs from case to case. Where more than a line is to be said,
[troubleshooting](../how-to/troubleshoot.md) says it.

{sections}"""


def _section(code: int, title: str, said: list[Message]) -> str:
    rows = "\n".join(f"| {prose(one.what)} | {prose(one.fix)} |" for one in said)
    return f"## Exit code {code}: {title}\n\n| Message | What to do |\n|---|---|\n{rows}\n"
