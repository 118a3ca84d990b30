"""The image that is in use, found and read: what the stage `compare` and the command `diff` look at."""

from __future__ import annotations

from ml_containerize.compare.check import Side, compare, judge
from ml_containerize.console import Console
from ml_containerize.errors import ContainerizeError, EnvironmentMissing
from ml_containerize.gates import reports_of
from ml_containerize.names import Platform, parse_reference
from ml_containerize.oci.find import ImageNotFound, find_image, is_layout_path
from ml_containerize.oci.image import Image
from ml_containerize.oci.registry import Connect
from ml_containerize.plan.decide import Plan
from ml_containerize.plan.previous import Previous
from ml_containerize.push.proof import read_proof
from ml_containerize.results import Comparison, Outcome, ScanReport, SmokeReport


class NothingToCompare(EnvironmentMissing):
    """The image that `compare-with` names cannot be read."""

    def __init__(self, where: str, error: ContainerizeError) -> None:
        super().__init__(
            f"{where} cannot be compared with: {error.what}",
            f"{error.fix} Or set `compare-with` to another image, or to `none`.".strip(),
        )


def compare_with_previous(
    plan: Plan, previous: Previous, image: Image, smoke: SmokeReport, scan: ScanReport, connect: Connect
) -> Comparison:
    """What this image changes for those who use the previous one.

    Raises NothingToCompare where an image that was named cannot be read; one that was only looked for is a
    notice.
    """
    if previous.unknown:
        return _skipped(previous, previous.unknown)
    try:
        before = read_side(previous.where, image.platform, connect)
        after = Side(image.name, image, _asked(smoke), scan)
        comparison = compare(before, after)
    except ContainerizeError as error:
        if previous.required:
            raise NothingToCompare(previous.where, error) from error
        return _skipped(previous, _why(previous.where, error))
    settings = plan.settings
    return judge(comparison, predictions=settings.predictions, interface=settings.interface)


def compare_images(before: str, after: str, platform: Platform, connect: Connect) -> Comparison:
    """Two images as they lie in registries or layout folders; raises as `find_image` does."""
    return compare(read_side(before, platform, connect), read_side(after, platform, connect))


def read_side(where: str, platform: Platform, connect: Connect) -> Side:
    """An image's manifest and configuration, and its proof where one lies beside it."""
    image = find_image(where, platform, connect)
    if is_layout_path(where):
        return Side(where, image)
    repository = parse_reference(where).repository
    told = where if "@" in where else f"{where}@{image.digest}"
    proof = read_proof(connect(repository), image.digest)
    reports = reports_of(proof) if proof else None
    if reports is None:
        return Side(told, image)
    smoke, scan = reports
    return Side(told, image, _asked(smoke), scan)


def tell(comparison: Comparison, console: Console) -> None:
    """The comparison in a run's log."""
    if comparison.before:
        console.info(f"compared with {comparison.before}")
    if comparison.headline:
        console.info(comparison.headline)
    if comparison.compared:
        console.info(f"{len(comparison.moved)} of {comparison.compared} predictions moved")
    for problem in comparison.problems:
        console.info(f"✗ {problem}")
    for notice in comparison.notices:
        console.info(f"note: {notice}")


def _asked(smoke: SmokeReport) -> SmokeReport | None:
    return None if smoke.outcome is Outcome.SKIPPED else smoke


def _skipped(previous: Previous, why: str) -> Comparison:
    return Comparison(Outcome.SKIPPED, before=previous.where, notices=(f"not compared: {why}",))


def _why(where: str, error: ContainerizeError) -> str:
    if isinstance(error, ImageNotFound):
        return f"no image is published as {where} yet"
    return error.what
