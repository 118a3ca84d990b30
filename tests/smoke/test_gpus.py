from __future__ import annotations

from pathlib import Path

import pytest

from ml_containerize.smoke.gpus import (
    BadGpus,
    Gpu,
    GpuMissing,
    GpuRequest,
    choose_gpus,
    describe_gpus,
    device_files,
    driver_libraries,
    find_gpus,
    parse_gpus,
)

TWO = (Gpu(0, "NVIDIA L4", "GPU-aa11"), Gpu(1, "NVIDIA L4", "GPU-bb22"))
FACTS = "Model: \t\t {model}\nIRQ:   \t\t 57\nGPU UUID: \t {uuid}\nDevice Minor: \t {minor}\n"


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A root folder with two GPUs whose bus order is not that of their device files."""
    for bus, minor in (("0000:01:00.0", 1), ("0000:02:00.0", 0)):
        folder = tmp_path / "proc/driver/nvidia/gpus" / bus
        folder.mkdir(parents=True)
        facts = FACTS.format(model="NVIDIA L4", uuid=f"GPU-{minor}", minor=minor)
        (folder / "information").write_text(facts)
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        (tmp_path / "dev").mkdir(exist_ok=True)
        (tmp_path / "dev" / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("text", "request_"),
    [
        ("auto", GpuRequest("auto")),
        ("none", GpuRequest("none")),
        ("all", GpuRequest("all")),
        ("2", GpuRequest("2", count=2)),
        ("device=0,GPU-aa11", GpuRequest("device=0,GPU-aa11", devices=("0", "GPU-aa11"))),
    ],
)
def test_a_request_is_read_as_docker_reads_it(text: str, request_: GpuRequest) -> None:
    assert parse_gpus(text) == request_


@pytest.mark.parametrize("text", ["", "0", "-1", "some", "device=", "device=0,", "devices=0"])
def test_a_request_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(BadGpus):
        parse_gpus(text)


def test_gpus_are_found_in_the_drivers_order(machine: Path) -> None:
    assert [gpu.minor for gpu in find_gpus(machine)] == [1, 0]
    assert describe_gpus(find_gpus(machine)) == "2 x NVIDIA L4"


def test_where_the_driver_tells_nothing_the_device_files_count(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    for name in ("nvidia0", "nvidia10", "nvidia2", "nvidiactl"):
        (tmp_path / "dev" / name).touch()
    assert [gpu.minor for gpu in find_gpus(tmp_path)] == [0, 2, 10]


def test_a_machine_without_device_files_has_no_gpu(tmp_path: Path) -> None:
    assert find_gpus(tmp_path) == ()
    assert describe_gpus(()) == "none"


@pytest.mark.parametrize(
    ("text", "minors"),
    [("auto", [0, 1]), ("all", [0, 1]), ("none", []), ("1", [0]), ("device=1", [1]), ("device=GPU-aa", [0])],
)
def test_the_gpus_that_were_asked_for_are_chosen(text: str, minors: list[int]) -> None:
    assert [gpu.minor for gpu in choose_gpus(parse_gpus(text), TWO)] == minors


@pytest.mark.parametrize("text", ["all", "1", "device=0"])
def test_a_gpu_that_is_asked_for_and_absent_is_exit_8(text: str) -> None:
    with pytest.raises(GpuMissing) as caught:
        choose_gpus(parse_gpus(text), ())
    assert caught.value.exit_code == 8


@pytest.mark.parametrize("text", ["3", "device=2", "device=GPU-cc"])
def test_more_or_other_gpus_than_there_are_is_exit_8(text: str) -> None:
    with pytest.raises(GpuMissing):
        choose_gpus(parse_gpus(text), TWO)


def test_auto_is_content_with_none() -> None:
    assert choose_gpus(parse_gpus("auto"), ()) == ()


def test_only_the_chosen_gpus_device_files_are_given(machine: Path) -> None:
    names = [path.name for path in device_files(find_gpus(machine)[:1], machine)]
    assert names == ["nvidiactl", "nvidia-uvm", "nvidia1"]


def test_the_drivers_libraries_are_found_once_by_name(tmp_path: Path) -> None:
    for folder in ("usr/lib/x86_64-linux-gnu", "usr/lib"):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / "libcuda.so.1").touch()
    (tmp_path / "usr/lib/libnvidia-ml.so.1").touch()
    (tmp_path / "usr/lib/libc.so.6").touch()
    found = [str(path.relative_to(tmp_path)) for path in driver_libraries(tmp_path)]
    assert found == ["usr/lib/x86_64-linux-gnu/libcuda.so.1", "usr/lib/libnvidia-ml.so.1"]
