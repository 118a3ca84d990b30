from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from ml_containerize.command import Completed
from ml_containerize.smoke.process import Process
from ml_containerize.smoke.sandbox import Sandbox, SandboxForbidden, probe

PROCESS = Process(("/opt/venv/bin/python", "-m", "serving"), {"A": "1"}, "/opt/serving", 65532, 65532)
SANDBOX = Sandbox((Path("/cache/low"), Path("/cache/high")), PROCESS, port=49213)


def pairs(arguments: Sequence[str], option: str, count: int = 1) -> list[tuple[str, ...]]:
    places = [index for index, word in enumerate(arguments) if word == option]
    return [tuple(arguments[place + 1 : place + 1 + count]) for place in places]


def test_the_layers_are_a_read_only_overlay_lowest_first() -> None:
    arguments = SANDBOX.arguments()
    assert pairs(arguments, "--overlay-src") == [("/cache/low",), ("/cache/high",)]
    assert pairs(arguments, "--ro-overlay") == [("/",)]


def test_only_memory_is_writable() -> None:
    arguments = SANDBOX.arguments()
    assert not {"--bind", "--overlay", "--tmp-overlay"} & set(arguments)
    assert pairs(arguments, "--tmpfs") == [("/dev/shm",), ("/tmp",)]
    assert ("/dev",) in pairs(arguments, "--remount-ro")


def test_the_process_has_no_capability_and_dies_with_its_parent() -> None:
    arguments = SANDBOX.arguments()
    assert pairs(arguments, "--cap-drop") == [("ALL",)]
    assert {"--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts"} <= set(arguments)
    assert {"--die-with-parent", "--disable-userns"} <= set(arguments)


def test_the_environment_is_the_images_and_the_servers_address() -> None:
    arguments = SANDBOX.arguments()
    assert arguments.index("--clearenv") < arguments.index("--setenv")
    assert pairs(arguments, "--setenv", 2) == [("A", "1"), ("HOST", "127.0.0.1"), ("PORT", "49213")]
    assert arguments[arguments.index("--") + 1 :] == list(PROCESS.argv)


def test_a_gpu_brings_its_devices_and_the_drivers_libraries() -> None:
    from dataclasses import replace

    gpu = replace(SANDBOX, devices=(Path("/dev/nvidia0"),), libraries=(Path("/usr/lib/libcuda.so.1"),))
    arguments = gpu.arguments()
    assert pairs(arguments, "--dev-bind", 2) == [("/dev/nvidia0", "/dev/nvidia0")]
    assert ("/usr/lib/libcuda.so.1", "/usr/local/nvidia/lib64/libcuda.so.1") in pairs(
        arguments, "--ro-bind", 2
    )


def refusing(*errors: str) -> Callable[..., Completed]:
    """A bubblewrap that fails with each error in turn; "" works."""
    waiting = iter(errors)

    def run(argv: Sequence[str], **_: Any) -> Completed:
        error = next(waiting)
        return Completed(tuple(argv), 1 if error else 0, "", error)

    return run


def test_a_sandbox_that_works_has_its_own_proc() -> None:
    assert probe(Path("bwrap"), refusing(""), lambda _: "") == "own"


def test_where_no_new_proc_is_allowed_the_machines_own_serves() -> None:
    run = refusing("bwrap: Can't mount proc on /newroot/proc: Operation not permitted", "")
    assert probe(Path("bwrap"), run, lambda _: "") == "shared"


@pytest.mark.parametrize(
    ("settings", "error", "advice"),
    [
        (
            {"kernel/apparmor_restrict_unprivileged_userns": "1"},
            "bwrap: setting up uid map: Permission denied",
            "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        (
            {"kernel/unprivileged_userns_clone": "0"},
            "bwrap: No permissions to create new namespace",
            "sudo sysctl -w kernel.unprivileged_userns_clone=1",
        ),
        (
            {"user/max_user_namespaces": "0"},
            "bwrap: Creating new namespace failed: No space left on device",
            "sudo sysctl -w user.max_user_namespaces=10000",
        ),
        ({}, "bwrap: Can't make overlay mount on /newroot/: Operation not permitted", "Linux 5.11"),
        ({}, "bwrap: No permissions to create new namespace", "seccomp"),
    ],
)
def test_forbidden_namespaces_are_exit_8_with_the_reason_and_who_can_change_it(
    settings: dict[str, str], error: str, advice: str
) -> None:
    with pytest.raises(SandboxForbidden) as caught:
        probe(Path("bwrap"), refusing(error, error), lambda name: settings.get(name, ""))
    assert caught.value.exit_code == 8
    assert error in caught.value.what
    assert advice in caught.value.fix
    assert "engine: docker" in caught.value.fix
