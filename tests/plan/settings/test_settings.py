from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from ml_containerize.names import Platform, Repository
from ml_containerize.plan.settings.options import OPTIONS
from ml_containerize.plan.settings.problems import WrongSettings
from ml_containerize.plan.settings.settings import Budgets, Secret, Settings, load_settings

CONFIG = "ml-containerize.yaml"


def problems(
    project: Path, flags: dict[str, object] | None = None, environ: dict[str, str] | None = None
) -> list[str]:
    with pytest.raises(WrongSettings) as caught:
        load_settings(project, flags or {}, environ or {}, project.parent)
    assert caught.value.exit_code == 2
    return [str(problem) for problem in caught.value.problems]


def test_every_option_is_a_field_of_the_settings_and_the_other_way_round() -> None:
    renamed = {"path": "project", "platforms": "platform", "cache-dir": "cache"}
    of_options = {
        renamed.get(o.name, o.name.replace("-", "_"))
        for o in OPTIONS
        if o.name not in {"command", "python-path"} and not o.only_for
    }
    of_settings = {field.name for field in fields(Settings)} - {"budgets"}
    assert of_options == of_settings | {field.name for field in fields(Budgets)}


def test_a_project_without_settings_gets_the_documented_defaults(project: Path) -> None:
    settings = load_settings(project, {}, {})
    assert settings.name == "digits"
    assert settings.platform == Platform("linux", "amd64")
    assert (settings.push, settings.smoke, settings.scan, settings.summary) == (False, True, True, True)
    assert settings.severity == {"CRITICAL", "HIGH"}
    assert (settings.ignore_unfixed, settings.exit_code, settings.timeout) == (True, 1, "30m")
    assert (settings.gpus, settings.engine, settings.existing, settings.tag_latest) == (
        "auto",
        "auto",
        "refuse",
        "auto",
    )
    assert settings.base_image.startswith("python:3.12-slim-trixie@sha256:")
    assert settings.budgets == Budgets()
    assert settings.config is None
    assert settings.model is None


def test_a_flag_wins_over_a_variable_over_the_file_over_the_default(project: Path) -> None:
    (project / CONFIG).write_text("gpus: none\nname: from-file\nengine: embedded\n")
    environ = {"ML_CONTAINERIZE_GPUS": "all", "ML_CONTAINERIZE_NAME": "from-variable"}
    settings = load_settings(project, {"gpus": "2"}, environ)
    assert (settings.gpus, settings.name, settings.engine) == ("2", "from-variable", "embedded")
    assert settings.timeout == "30m"


IMAGE = f"ghcr.io/org/digits@sha256:{'1' * 64}"


@pytest.mark.parametrize("text", [IMAGE, IMAGE.replace("org", "Org"), IMAGE.replace("@", ":1.2.3@")])
def test_an_image_by_its_digest_is_published_where_it_is_unless_names_are_given(
    project: Path, text: str
) -> None:
    settings = load_settings(project, {}, {"ML_CONTAINERIZE_IMAGE": text})
    assert str(settings.image) == IMAGE
    assert list(map(str, settings.images)) == ["ghcr.io/org/digits"]
    assert settings.push is False
    named = load_settings(project, {"image": text, "images": "ghcr.io/org/mirror", "push": True}, {})
    assert list(map(str, named.images)) == ["ghcr.io/org/mirror"]


@pytest.mark.parametrize("text", ["ghcr.io/org/digits", "ghcr.io/org/digits:1", IMAGE[:-1], "@sha256:1"])
def test_an_image_without_a_whole_digest_is_refused(project: Path, text: str) -> None:
    (problem,) = problems(project, {"image": text})
    assert problem.startswith("IMAGE: expected an image by its digest")


def test_a_push_by_digest_is_a_push(project: Path) -> None:
    settings = load_settings(project, {"push-by-digest": True, "images": "ghcr.io/org/digits"}, {})
    assert settings.push
    (problem,) = problems(project, {"push-by-digest": True})
    assert "nowhere to push to" in problem


def test_the_command_is_one_that_the_action_can_do(project: Path) -> None:
    load_settings(project, {}, {"ML_CONTAINERIZE_COMMAND": "scan"})
    (problem,) = problems(project, environ={"ML_CONTAINERIZE_COMMAND": "serve"})
    assert problem.startswith("ML_CONTAINERIZE_COMMAND: expected one of run, plan")


@pytest.mark.parametrize("key", ["command", "image", "push-by-digest"])
def test_what_one_job_tells_the_next_stands_in_no_file(project: Path, key: str) -> None:
    (project / CONFIG).write_text(f"{key}: true\n")
    (problem,) = problems(project)
    assert f"{key!r} cannot be set here" in problem


def test_an_empty_input_is_an_unset_one(project: Path) -> None:
    (project / CONFIG).write_text("push: true\nimages: ghcr.io/org/digits\nname: ''\nmodel:\n")
    settings = load_settings(
        project, {"images": None}, {"ML_CONTAINERIZE_PUSH": "", "ML_CONTAINERIZE_TAGS": " \n"}
    )
    assert settings.push
    assert settings.name == "digits"
    assert settings.tags == ()


def test_false_wins_over_true_where_it_stands_higher(project: Path) -> None:
    (project / CONFIG).write_text("scan: true\nsmoke: false\n")
    settings = load_settings(project, {"scan": False, "smoke": True}, {})
    assert (settings.scan, settings.smoke) == (False, True)


def test_all_problems_of_all_sources_are_told_at_once(project: Path) -> None:
    (project / CONFIG).write_text("severty: HIGH\npush: yes\nscanners: [vuln, virus]\n")
    told = problems(
        project, {"gpus": "-1"}, {"ML_CONTAINERIZE_SCAN": "maybe", "ML_CONTAINERIZE_SEVERTY": "x"}
    )
    assert told == [
        "ML_CONTAINERIZE_SEVERTY: unknown variable; perhaps you meant 'ML_CONTAINERIZE_SEVERITY'",
        "ML_CONTAINERIZE_SCAN: expected true or false, got 'maybe'",
        "--gpus: expected auto, none, all, a count or device=<ids>, got '-1'",
        f"digits/{CONFIG}:1:1: unknown key 'severty'; perhaps you meant 'severity'",
        f"digits/{CONFIG}:2:7: push: expected true or false, got 'yes'",
        f"digits/{CONFIG}:3:18: scanners[1]: expected one of vuln, secret, misconfig, license, got 'virus'",
    ]


@pytest.mark.parametrize(
    ("images", "expanded"),
    [
        ("ghcr.io/Org/{name}", ["ghcr.io/org/digits"]),
        ("ghcr.io/org/models/{name}-server", ["ghcr.io/org/models/digits-server"]),
        ("{name}", ["docker.io/library/digits"]),
        ("ghcr.io/org/{name}\nghcr.io/org/digits", ["ghcr.io/org/digits"]),
        ("localhost:5000/{name}/{name}", ["localhost:5000/digits/digits"]),
    ],
)
def test_an_images_name_may_hold_the_models(project: Path, images: str, expanded: list[str]) -> None:
    settings = load_settings(project, {}, {"ML_CONTAINERIZE_IMAGES": images})
    assert list(map(str, settings.images)) == expanded
    renamed = load_settings(project, {"images": images, "name": "bees"}, {})
    assert "bees" in str(renamed.images[0])


@pytest.mark.parametrize(
    "images", ["ghcr.io/org/{model}", "ghcr.io/org/{name", "ghcr.io/{}/x", "a/{name}:v1"]
)
def test_no_other_words_stand_in_an_images_name(project: Path, images: str) -> None:
    (told,) = problems(project, {"images": images})
    assert "ghcr.io/org/{name}" in told


def test_yaml_that_is_wrong_in_three_places_is_told_with_all_three(project: Path) -> None:
    (project / CONFIG).write_text(
        "platforms: &one windows/amd64\nstartup-timeout: *one\npush: true\npush: false\nlatency_p95_ms: 5\n"
    )
    told = problems(project)
    assert told[0].startswith(f"digits/{CONFIG}:1:12: platforms: expected one platform")
    assert told[1].startswith(f"digits/{CONFIG}:1:12: startup-timeout: expected a duration")
    assert told[2] == f"digits/{CONFIG}:4:1: duplicate key 'push', first on line 3"
    assert told[3].endswith("unknown key 'latency_p95_ms'; perhaps you meant 'latency-p95-ms'")
    assert told[4:] == ["push: there is nowhere to push to; name an image in `images`"]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("name: 5", "name: expected a text, got the number 5; write it in quotes"),
        ("name: true", "name: expected a text, got true; write it in quotes"),
        ("name: [a]", "name: expected a text, got a list"),
        ("push: 'true'", "push: expected true or false, got 'true'"),
        ("push: 1", "push: expected true or false, got the number 1"),
        ("tags: [1.10]", "tags[0]: expected a text, got the number 1.1; write it in quotes"),
        ("tags: {a: b}", "tags: expected a list, got a mapping"),
        ("images: [[a]]", "images[0]: expected a text, got a list"),
        ("labels: 5", "labels: expected a mapping or a list of key=value, got the number 5"),
        ("labels: {a: 1}", "labels.a: expected a text, got the number 1; write it in quotes"),
        ("labels: [novalue]", "labels[0]: expected key=value, got 'novalue'"),
        ("exit-code: 1.5", "exit-code: expected a whole number from 0 to 255, got the number 1.5"),
        ("exit-code: 256", "exit-code: expected a whole number from 0 to 255, got the number 256"),
        ("memory-mb: lots", "memory-mb: expected a positive number, got 'lots'"),
        ("memory-mb: 0", "memory-mb: expected a positive number, got the number 0.0"),
        ("memory-mb: .nan", "memory-mb: expected a positive number, got '.nan'"),
        ("startup-timeout: true", "startup-timeout: expected a text, got true; write it in quotes"),
        ("tag-latest: never", "tag-latest: expected auto, true or false, got 'never'"),
    ],
)
def test_a_wrong_type_says_what_was_expected_and_what_was_found(project: Path, line: str, why: str) -> None:
    (project / CONFIG).write_text(line)
    (told,) = problems(project)
    assert told.split(": ", 1)[1] == why


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("push", "True"),
        ("push", "yes"),
        ("exit-code", "-1"),
        ("exit-code", "1.0"),
        ("platforms", "linux/amd64,linux/arm64"),
        ("images", "ghcr.io/org/digits:v1"),
        ("images", "ghcr.io/org/digits@sha256:" + "0" * 64),
        ("tags", "a b"),
        ("tags", "env-" + "0" * 32),
        ("tags", "sha-" + "0" * 12 + "-model-" + "0" * 12),
        ("labels", "io.ml-containerize.model.hash=x"),
        ("labels", "org.opencontainers.image.revision=x"),
        ("labels", "spa ce=x"),
        ("gpus", "0"),
        ("severity", "critical!"),
        ("startup-timeout", "0"),
        ("timeout", "30 minutes"),
        ("trivy-sha256", "abc"),
        ("registry", "https://ghcr.io"),
        ("base-image", "python 3"),
        ("smoke-cases", "../*.json"),
        ("smoke-cases", "/etc/*.json"),
        ("name", "Digits"),
        ("model", "a\0b"),
    ],
)
def test_text_that_means_nothing_is_refused_and_its_flag_named(project: Path, name: str, text: str) -> None:
    told = problems(project, {name: text})
    assert any(one.startswith(f"--{name}: ") for one in told)


def test_a_list_takes_lines_and_a_csv_takes_commas_too(project: Path) -> None:
    environ = {
        "ML_CONTAINERIZE_IMAGES": "ghcr.io/Org/Digits\n\n  docker.io/org/digits  \nghcr.io/org/digits",
        "ML_CONTAINERIZE_SEVERITY": "LOW, HIGH\nMEDIUM",
        "ML_CONTAINERIZE_LABELS": "a=1=2\nb = c",
        "ML_CONTAINERIZE_TAGS": "one,two",
    }
    settings = load_settings(project, {}, environ)
    assert settings.images == (Repository("ghcr.io", "org/digits"), Repository("docker.io", "org/digits"))
    assert settings.severity == {"LOW", "MEDIUM", "HIGH"}
    assert settings.labels == {"a": "1=2", "b": "c"}
    assert settings.tags == ("one", "two")


def test_a_flag_may_be_repeated(project: Path) -> None:
    assert load_settings(project, {"tags": ["one", "two"]}, {}).tags == ("one", "two")


def test_durations_have_units_or_are_seconds(project: Path) -> None:
    (project / CONFIG).write_text("startup-timeout: 90\nlatency-p95-ms: 20\n")
    settings = load_settings(project, {}, {})
    assert (settings.startup_timeout, settings.budgets.latency_p95_ms) == (90.0, 20.0)
    assert load_settings(project, {"startup-timeout": "1.5m"}, {}).startup_timeout == 90.0


def test_what_lies_inside_the_project_is_named_from_there_and_the_rest_from_here(tmp_path: Path) -> None:
    project = tmp_path / "models" / "digits"
    project.mkdir(parents=True)
    flags: dict[str, object] = {"model": "a.keras", "output": "out", "trivyignores": "ignore"}
    settings = load_settings(Path("models/digits"), flags, {}, tmp_path)
    assert settings.project == project
    assert settings.model == project / "a.keras"
    assert settings.output == tmp_path / "out"
    assert settings.trivyignores == (tmp_path / "ignore",)


def test_paths_in_the_file_start_at_the_project(project: Path) -> None:
    (project / CONFIG).write_text("output: out\nbase-image: ./base\ntrivyignores: .trivyignore\n")
    settings = load_settings(project, {}, {}, project.parent)
    assert settings.output == project / "out"
    assert settings.base_image == str(project / "base")
    assert settings.trivyignores == (project / ".trivyignore",)


def test_the_work_folder_lies_in_the_repositorys_root(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    project = tmp_path / "models" / "digits"
    project.mkdir(parents=True)
    assert load_settings(project, {}, {}).output == tmp_path / ".ml-containerize"


def test_a_secret_comes_from_the_environment_only_and_is_never_shown(project: Path) -> None:
    (project / CONFIG).write_text("password: hunter2\n")
    told = problems(project, {"password": "hunter3"})
    assert "any user of this machine can read a command line" in told[0]
    assert "a secret in a file ends up in git; set ML_CONTAINERIZE_PASSWORD" in told[1]
    assert "hunter" not in "".join(told)
    (project / CONFIG).unlink()
    environ = {"ML_CONTAINERIZE_USERNAME": "ada", "ML_CONTAINERIZE_PASSWORD": "hunter2"}
    settings = load_settings(project, {}, environ)
    assert settings.password == Secret("hunter2")
    assert "hunter2" not in f"{settings!r} {settings.password}"


def test_a_pull_request_from_a_fork_has_no_secrets_and_needs_none(project: Path) -> None:
    environ = {"ML_CONTAINERIZE_USERNAME": "ada", "ML_CONTAINERIZE_PASSWORD": ""}
    assert not load_settings(project, {}, environ).password
    told = problems(project, {"push": True, "images": "ghcr.io/org/digits"}, environ)
    assert told == ["password: a username needs a password; set ML_CONTAINERIZE_PASSWORD"]


def test_what_only_contradicts_a_value_that_is_wrong_already_is_not_told(project: Path) -> None:
    told = problems(project, {"push": True, "images": "UPPER:tag"})
    assert len(told) == 1


def test_a_trivy_release_needs_its_checksum(project: Path) -> None:
    (told,) = problems(project, {"trivy-version": "0.74.0"})
    assert "`trivy-sha256`" in told


def test_a_project_that_is_no_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert problems(tmp_path / "file") == [f"path: {str(tmp_path / 'file')!r} is not a folder"]


def test_a_folders_name_without_letters_makes_no_image_name(tmp_path: Path) -> None:
    folder = tmp_path / "模型"
    folder.mkdir()
    (told,) = problems(folder)
    assert "set `name`" in told
    assert load_settings(folder, {"name": "digits"}, {}).name == "digits"


def test_a_folders_name_is_made_fit_for_an_image(tmp_path: Path) -> None:
    folder = tmp_path / "My Model (v2)"
    folder.mkdir()
    assert load_settings(folder, {}, {}).name == "my-model-v2"


def test_a_config_file_of_another_name_is_not_silently_ignored(project: Path) -> None:
    (project / "ml-containerize.yml").write_text("push: false\n")
    assert problems(project) == [f"digits/ml-containerize.yml: this name is not read; rename it to {CONFIG}"]


def test_a_config_file_that_was_named_must_exist(project: Path) -> None:
    assert problems(project, {"config": "gpu.yaml"}) == [
        "digits/gpu.yaml: cannot be read: No such file or directory"
    ]


def test_a_named_config_file_is_read_instead_of_the_projects_own(project: Path) -> None:
    (project / CONFIG).write_text("name: own\n")
    (project / "gpu.yaml").write_text("gpus: all\n")
    settings = load_settings(project, {"config": "gpu.yaml"}, {})
    assert (settings.gpus, settings.name, settings.config) == ("all", "digits", project / "gpu.yaml")
