"""What the reusable workflows repeat of the declared options: their inputs, and how steps get them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

from ml_containerize.plan.settings.options import BY_NAME, OPTIONS, Option
from ml_containerize.plan.settings.views import described

WORKFLOWS = Path(".github") / "workflows"

# a matrix names path and model, the workflow names command, image and folder, and secrets are no inputs
_OF_ONE_JOB = {"path", "name", "command", "image", "push", "push-by-digest", "output", "password"}
# a check publishes nothing
_OF_A_RELEASE = {"tags", "tag-latest", "existing", "allow-dirty", "registry", "username"}

_RUNNER = "Label of the runner, or a JSON list of labels."
_OF_BOTH: Mapping[str, tuple[str, str, object]] = {
    "runner": ("string", _RUNNER, "ubuntu-latest"),
    "gpu-runner": (
        "string",
        "Label of a runner with a GPU; predictions are asked there too.",
        "",
    ),
    "max-parallel": ("number", "Models at work at once.", 20),
    "lfs": ("boolean", "Fetch files that git keeps in LFS.", True),
}
_OF_CHECK: Mapping[str, tuple[str, str, object]] = {
    **_OF_BOTH,
    "gpu-for-forks": ("boolean", "Let pull requests of forks run on `gpu-runner`.", False),
    "comment": ("boolean", "Keep a comment on the pull request; needs `pull-requests: write`.", False),
    "sarif": ("boolean", "Show findings in code scanning; needs `security-events: write`.", False),
    "packages": ("boolean", "Read private images at ghcr.io; needs `packages: read`.", False),
}
_OF_RELEASE: Mapping[str, tuple[str, str, object]] = {
    **_OF_BOTH,
    "gpu-runner": (
        "string",
        "Label of a runner with a GPU; predictions are asked there.",
        "",
    ),
    "release-notes": ("boolean", "Write the notes of the tag's release; needs `contents: write`.", False),
}
_OF_ONE_MODEL: Mapping[str, tuple[str, str, object]] = {
    "path": ("string", "The model project's folder.", "."),
    "artifact": ("string", "Under which name the record is kept for later jobs.", "model"),
    **{name: own for name, own in _OF_BOTH.items() if name != "max-parallel"},
}

_NO_LOGIN = "inputs.registry == '' || inputs.registry == 'ghcr.io'"
# GitHub's token opens GitHub's registry, and is shown to no other
_RELEASE_LOGIN: Mapping[str, str] = {
    "registry": "${{ inputs.registry || secrets.password == '' && 'ghcr.io' || '' }}",
    "username": (
        f"${{{{ (secrets.password || ({_NO_LOGIN}) && github.token)"
        " && (inputs.username || github.actor) || '' }}"
    ),
    "password": f"${{{{ secrets.password || ({_NO_LOGIN}) && github.token || '' }}}}",
}
_CHECK_LOGIN: Mapping[str, str] = {
    "registry": "${{ inputs.packages && 'ghcr.io' || '' }}",
    "username": "${{ inputs.packages && github.actor || '' }}",
    "password": "${{ inputs.packages && github.token || '' }}",
}
# one text for every job: a gate's report says how many GPUs it was asked with
_RELEASE_GPUS = {"gpus": "${{ inputs.gpus || inputs.gpu-runner && 'all' || '' }}"}


def blocks() -> dict[Path, dict[str, str]]:
    """The content between the marks `generated: NAME` and `end: NAME`, by workflow and name."""
    checking, releasing = _passed(_OF_ONE_JOB | _OF_A_RELEASE), _passed(_OF_ONE_JOB)
    finding = tuple(BY_NAME[name] for name in ("paths", "shared", "max-models"))
    on_gpu = {"gpus": "${{ inputs.gpus || 'all' }}", "scan": '"false"'}
    return {
        WORKFLOWS / "pr-check.yml": {
            "check inputs": _inputs(_OF_CHECK, (*finding, *checking)),
            "check step": _with(checking, 10, {**_CHECK_LOGIN, "gpus": _beside_a_gpu()}),
            "gpu step": _with(checking, 10, {**_CHECK_LOGIN, **on_gpu}),
        },
        WORKFLOWS / "release.yml": {
            "release inputs": _inputs(_OF_RELEASE, (BY_NAME["paths"], BY_NAME["max-models"], *releasing)),
            "release call": _with(releasing, 6, {}),
        },
        WORKFLOWS / "release-model.yml": {
            "model inputs": _inputs(_OF_ONE_MODEL, releasing),
            "model step": _with(releasing, 10, {**_RELEASE_LOGIN, **_RELEASE_GPUS}),
        },
    }


def _passed(left_out: set[str]) -> tuple[Option, ...]:
    return tuple(option for option in OPTIONS if not option.only_for and option.name not in left_out)


def _beside_a_gpu() -> str:
    """Where a GPU is asked in a job of its own, the other job has none."""
    return "${{ inputs.gpu-runner && 'none' || inputs.gpus }}"


def _inputs(own: Mapping[str, tuple[str, str, object]], options: tuple[Option, ...]) -> str:
    """The `inputs` of a workflow_call. Texts stay empty, or an input would always win over the file."""
    declared: dict[str, dict[str, object]] = {
        name: {"description": about, "type": kind, "default": default}
        for name, (kind, about, default) in own.items()
    }
    for option in options:
        declared[option.name] = {"description": described(option), "type": "string", "default": ""}
    return _indented(yaml.safe_dump({"inputs": declared}, sort_keys=False, width=10_000), 4)


def _with(options: tuple[Option, ...], indent: int, special: Mapping[str, str]) -> str:
    """Lines below `with:`, a line an option."""
    values = {option.name: f"${{{{ inputs.{option.name} }}}}" for option in options} | dict(special)
    return _indented("".join(f"{name}: {value}\n" for name, value in values.items()), indent)


def _indented(text: str, width: int) -> str:
    return "".join(f"{' ' * width}{line}" for line in text.splitlines(keepends=True))
