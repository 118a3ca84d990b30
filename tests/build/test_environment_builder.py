from __future__ import annotations

from ml_containerize.build.environment_builder import split
from ml_containerize.plan.environment.requirements import Requirement


def names(requirements: list[Requirement]) -> list[str]:
    return [one.name for one in requirements]


def locked(*packages: str) -> list[Requirement]:
    return [Requirement(name, "1", "", ()) for name in packages]


def test_what_is_known_to_be_large_is_installed_beside_the_rest() -> None:
    large, others = split(locked("flask", "tensorflow-cpu", "numpy", "nvidia-cudnn-cu12"))
    assert (names(large), names(others)) == (["tensorflow-cpu", "nvidia-cudnn-cu12"], ["flask", "numpy"])


def test_a_lone_large_package_is_installed_alone() -> None:
    large, others = split(locked("torch"))
    assert (names(large), names(others)) == ([], ["torch"])


def test_a_lock_may_be_empty() -> None:
    assert split([]) == ([], [])
