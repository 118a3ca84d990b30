"""The files that are written for people to read and change: a project's config file, and the workflow."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

LOGIN = "the workflow logs in with the variable REGISTRY_USERNAME and the secret REGISTRY_PASSWORD, where set"

_PLAIN = re.compile(r"[A-Za-z_][\w./-]*", re.ASCII)
_WORDS = {"true", "false", "null"}  # YAML 1.2, "Core Schema"
_PATTERN = re.compile(r"([\\*+?!\[\]])")  # what has a meaning in a filter of branches


def config_text(values: Mapping[str, str | bool], model: str) -> str:
    """`ml-containerize.yaml` with what differs from the defaults."""
    found = f"{_value(model)}, requirements.lock, smoke/*.json, metrics.json"
    lines = [f"# Everything else has a default or is found: {found}."]
    return "\n".join([*lines, *(f"{key}: {_value(value)}" for key, value in values.items())]) + "\n"


def _value(value: str | bool) -> str:
    if isinstance(value, bool):
        return json.dumps(value)
    is_plain = _PLAIN.fullmatch(value) and value.lower() not in _WORDS
    return value if is_plain else json.dumps(value, ensure_ascii=False)


def workflow_text(images: str, branch: str) -> str:
    """`.github/workflows/ml-containerize.yml`: checks pull requests, releases the branch and tags.

    On github.com's own registry a check may read what is published: pull requests are compared with it.
    """
    at_github = is_at_github(images)
    return _WORKFLOW.format(
        images=json.dumps(images),
        branch=json.dumps(_PATTERN.sub(r"\\\1", branch)),
        reading="\n      packages: read # the images that are published, to compare with"
        if at_github
        else "",
        writing="\n      packages: write # the images" if at_github else "",
        packages="\n      packages: true" if at_github else "",
        secrets="" if at_github else _SECRETS,
    )


def is_at_github(images: str) -> bool:
    """True for GitHub's own registry, which a workflow's token opens."""
    return images.startswith("ghcr.io/")


_WORKFLOW = """\
# Pull requests are checked. Pushes to the branch below, and version tags (v1.2.3, or NAME/v1.2.3 for one
# of several models), publish images whose predictions are as recorded and which passed the scan.
name: Models

on:
  pull_request:
  push:
    branches: [{branch}]
    tags: ["v*", "*/v*"]
  workflow_dispatch:

permissions: {{}}

concurrency:
  group: models-${{{{ github.ref }}}}
  cancel-in-progress: ${{{{ github.event_name == 'pull_request' }}}}

jobs:
  check:
    name: Check
    if: github.event_name == 'pull_request'
    permissions:
      contents: read # the repository{reading}
    uses: org/ml-containerize/.github/workflows/pr-check.yml@v1
    with:
      images: {images}{packages}

  release:
    name: Release
    if: github.event_name != 'pull_request'
    permissions:
      contents: read # the repository{writing}
    uses: org/ml-containerize/.github/workflows/release.yml@v1
    with:
      images: {images}
{secrets}"""
_SECRETS = """\
      username: ${{ vars.REGISTRY_USERNAME }}
    secrets:
      password: ${{ secrets.REGISTRY_PASSWORD }}
"""
