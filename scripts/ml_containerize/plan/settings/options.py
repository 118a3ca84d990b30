"""The one declaration of every option; flags, variables, config keys, action inputs and docs view it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ml_containerize.plan.git.paths import path_pattern
from ml_containerize.plan.model.runtimes import BACKENDS
from ml_containerize.plan.settings.kinds import (
    Boolean,
    Choice,
    FilePath,
    Kind,
    Number,
    Parsed,
    Password,
    Pattern,
    Switch,
)
from ml_containerize.plan.settings.many import Items, Pairs
from ml_containerize.plan.settings.values import (
    BaseImage,
    ComparedImage,
    Seconds,
    image_pattern,
    inner_pattern,
    label_key,
    platform,
    published_image,
    tag,
)

DEFAULT_BASE = (
    "python:3.12-slim-trixie@sha256:57cd7c3a7a273101a6485ba99423ee568157882804b1124b4dd04266317710de"
)
SHARED = (  # what a change of can reach every model of a repository; all at its root
    ".github/workflows",
    ".github/actions",
    ".gitattributes",
    ".trivyignore*",
    "constraints*",
    "pyproject.toml",
    "requirements*",
    "uv.lock",
)
PREFIX = "ML_CONTAINERIZE_"
COMMANDS = ("run", "plan", "build", "smoke", "scan", "push", "models", "report")  # what the action can do


@dataclass(frozen=True, slots=True)
class Option:
    """One option; `default` is what a user would write, '' where it is found out or there is none."""

    name: str  # config key, flag and action input
    kind: Kind
    default: str
    help: str
    inside: bool = False  # a relative path starts at the project, whoever wrote it
    in_file: bool = True
    as_flag: bool = True
    only_for: str = ""  # the one command that it is about; '' for the pipeline and its stages

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return PREFIX + self.name.upper().replace("-", "_")


_TEXT = Kind()
_PATH = FilePath()
_BOOL = Boolean()
_TAG = Parsed("a tag (letters, digits, '_', '.', '-', at most 128)", tag)
_IMAGE = Parsed("an image name such as ghcr.io/org/{name}, without a tag", image_pattern)
_PUBLISHED = Parsed("an image by its digest, such as ghcr.io/org/digits@sha256:…", published_image)
_PLATFORM = Parsed("one platform such as linux/amd64 (several need one run each)", platform)
_CASES = Parsed("a pattern inside the project, such as smoke/*.json", inner_pattern)
_PATHS = Items(Parsed("a pattern of paths in the repository, such as models/*", path_pattern), commas=True)
_NAME = Pattern(
    "lower case letters and digits, with '.', '_' or '-' between them",
    r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*",
)
_HOST = Pattern(
    "a registry's host such as ghcr.io",
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?",
)
_GPUS = Pattern("auto, none, all, a count or device=<ids>", r"auto|none|all|[1-9][0-9]?|device=[\w,.:/-]+")
_DURATION = Pattern("a duration such as 30m or 1h30m", r"(?:[0-9]+(?:\.[0-9]+)?(?:h|m|s|ms))+")
_VERSION = Pattern("a version such as 0.74.0", r"[0-9]+\.[0-9]+\.[0-9]+")
_SHA256 = Pattern("64 hexadecimal digits", r"[0-9a-f]{64}")
_SEVERITIES = Items(Choice(("CRITICAL", "HIGH", "MEDIUM", "LOW", "UNKNOWN")), commas=True, collect=frozenset)
_SCANNERS = Items(Choice(("vuln", "secret", "misconfig", "license")), commas=True)

_PROJECT = (
    Option("path", _PATH, ".", "The model project's folder.", in_file=False, as_flag=False),
    Option("config", _PATH, "", "Config file; default `ml-containerize.yaml`.", inside=True, in_file=False),
    Option(
        "model",
        _PATH,
        "",
        "The model's file, or its folder where it has one; default: the only one there is.",
        inside=True,
    ),
    Option(
        "backend",
        Choice(BACKENDS),
        "",
        "Computes a Keras model: `tensorflow` (default), `jax` or `torch`.",
    ),
    Option("allow-pickle", _BOOL, "false", "Serve a pickle, although loading one runs any code in it."),
    Option(
        "requirements",
        _PATH,
        "",
        "Python requirements, locked beside it as `.lock`; default `requirements.txt`.",
        inside=True,
    ),
    Option("name", _NAME, "", "The model's name; default: the folder's name."),
)
_IMAGE_OPTIONS = (
    Option("base-image", BaseImage(), DEFAULT_BASE, "Base image, or the folder of an OCI image layout."),
    Option("platforms", _PLATFORM, "linux/amd64", "The image's platform."),
    Option(
        "images", Items(_IMAGE), "", "Image names to publish under, without a tag; `{name}` is the model's."
    ),
    Option("tags", Items(_TAG, commas=True), "", "Further tags that move to this image."),
    Option("tag-latest", Switch(), "auto", "Move `latest`; `auto` does it for a full release."),
    Option("labels", Pairs(label_key), "", "Further labels, `key=value`."),
)
_PUBLISH = (
    Option("push", _BOOL, "false", "Publish the image once every gate has passed."),
    Option(
        "push-by-digest",
        _BOOL,
        "false",
        "`build` publishes the image under its digest, without any tag, for the gates of other jobs.",
        in_file=False,
    ),
    Option(
        "image",
        _PUBLISHED,
        "",
        "The image as `name@sha256:…` that `smoke`, `scan` or `push` is about; default: the one built here.",
        in_file=False,
        as_flag=False,
    ),
    Option("registry", _HOST, "", "The registry to log in to; default: that of the first image."),
    Option("username", _TEXT, "", "User name for the registry; default: Docker's own credentials."),
    Option("password", Password(), "", "Password or token for the registry.", in_file=False, as_flag=False),
    Option(
        "existing",
        Choice(("refuse", "keep")),
        "refuse",
        "What to do where the identity tag already names another digest.",
    ),
    Option("allow-dirty", _BOOL, "false", "Publish also from a tree with uncommitted changes."),
)
_SMOKE = (
    Option("smoke", _BOOL, "true", "Run the image and compare its predictions with the recorded cases."),
    Option("smoke-cases", _CASES, "smoke/*.json", "Recorded cases, a pattern inside the project."),
    Option("engine", Choice(("auto", "docker", "embedded")), "auto", "What runs the container."),
    Option("gpus", _GPUS, "auto", "GPUs for the container: `auto`, `none`, `all`, a count or `device=…`."),
    Option("startup-timeout", Seconds(), "120", "Seconds until the model must be ready."),
    Option("latency-p95-ms", Number("a positive number", 1e-3), "", "Refuse a slower 95th percentile."),
    Option("startup-seconds", Number("a positive number", 1e-3), "", "Refuse a slower start."),
    Option("memory-mb", Number("a positive number", 1e-3), "", "Refuse a higher peak of memory, in MiB."),
)
_COMPARE = (
    Option(
        "compare-with",
        ComparedImage(),
        "auto",
        "Image to compare with, or `none`; `auto` is that of a pull request's base branch.",
    ),
    Option(
        "predictions",
        Choice(("must-match", "may-change")),
        "must-match",
        "`may-change` says that predictions which moved against that image were meant to.",
    ),
    Option(
        "interface",
        Choice(("compatible", "may-change")),
        "compatible",
        "`may-change` says that inputs or outputs which break existing clients were meant to.",
    ),
)
_SCAN = (
    Option("scan", _BOOL, "true", "Scan the image with trivy."),
    Option("severity", _SEVERITIES, "CRITICAL,HIGH", "Severities that refuse the image."),
    Option("ignore-unfixed", _BOOL, "true", "Let vulnerabilities pass for which there is no fix."),
    Option(
        "exit-code",
        Number("a whole number from 0 to 255", maximum=255, whole=True),
        "1",
        "`0` reports what the scan finds without refusing the image.",
    ),
    Option("scanners", _SCANNERS, "vuln,secret", "What trivy looks for."),
    Option("trivyignores", Items(_PATH, commas=True), "", "Trivy ignore files."),
    Option("timeout", _DURATION, "30m", "Trivy's time limit."),
    Option("db-repository", Items(_TEXT, commas=True), "", "Where trivy's database comes from."),
    Option("skip-db-update", _BOOL, "false", "Scan with the database that is there, however old."),
    Option("trivy-version", _VERSION, "", "Another trivy release than the pinned one."),
    Option("trivy-sha256", _SHA256, "", "SHA-256 of that release's archive."),
    Option("trivy-path", _PATH, "", "A trivy program that is already installed."),
)
_RUN = (
    Option(
        "command",
        Choice(COMMANDS),
        "run",
        "What to do: `run` is the whole job, the others are its stages and what stands around them.",
        in_file=False,
        as_flag=False,
    ),
    Option("summary", _BOOL, "true", "Write the job summary."),
    Option(
        "output",
        _PATH,
        "",
        "Work folder; default `.ml-containerize` in the repository, in the action a temporary one.",
    ),
    Option("cache-dir", _PATH, "", "Cache folder; default: the user's cache."),
    Option(
        "python-path",
        _PATH,
        "",
        "The Python (3.11 or newer) that runs the action; default: the runner's.",
        in_file=False,
        as_flag=False,
    ),
)

_MODELS = (
    Option(
        "changed",
        _BOOL,
        "false",
        "Find only the models that changed since the event's base commit.",
        in_file=False,
        only_for="models",
    ),
    Option(
        "since",
        _TEXT,
        "",
        "Another commit, branch or tag to compare with.",
        in_file=False,
        only_for="models",
    ),
    Option(
        "paths",
        _PATHS,
        "",
        "Find only models in these folders of the repository, such as `models/*`.",
        in_file=False,
        only_for="models",
    ),
    Option(
        "shared",
        _PATHS,
        ",".join(SHARED),
        "Files and folders of the repository whose change concerns every model.",
        in_file=False,
        only_for="models",
    ),
    Option(
        "max-models",
        Number("a whole number from 1 to 256", minimum=1, maximum=256, whole=True),
        "256",
        "Refuse to find more models; a matrix on GitHub has at most 256 jobs.",
        in_file=False,
        only_for="models",
    ),
)
_REPORT = (
    Option(
        "models",
        _TEXT,
        "",
        "The models that must have a record, as the output `models` of the command of that name.",
        in_file=False,
        only_for="report",
    ),
    Option(
        "comment",
        _BOOL,
        "false",
        "Keep one comment on the pull request up to date; needs `pull-requests: write` and GITHUB_TOKEN.",
        in_file=False,
        only_for="report",
    ),
)

GROUPS: Mapping[str, tuple[Option, ...]] = {
    "Project": _PROJECT,
    "Image": _IMAGE_OPTIONS,
    "Publish": _PUBLISH,
    "Smoke test": _SMOKE,
    "Scan": _SCAN,
    "Compare": _COMPARE,
    "Run": _RUN,
    "Find models": _MODELS,
    "Report": _REPORT,
}
OPTIONS = tuple(option for options in GROUPS.values() for option in options)
BY_NAME: Mapping[str, Option] = {option.name: option for option in OPTIONS}
