"""What Prometheus reads at /metrics, named as it advises (https://prometheus.io/docs/practices/naming/).

One worker counts in its own memory. Several count in files of a folder that they share, prometheus_client's
multiprocess mode (https://prometheus.github.io/client_python/multiprocess/), so that whichever worker answers
tells for all.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, values
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

FOLDER = "PROMETHEUS_MULTIPROC_DIR"

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_COUNTS = tuple(float(2**exponent) for exponent in range(13))


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The labels of `mlc_model_info`; "" where something is not known."""

    name: str
    version: str
    format: str = ""
    model_hash: str = ""
    git_sha: str = ""
    environment_key: str = ""
    device: str = ""


_MODEL_LABELS = tuple(field.name for field in fields(ModelInfo))
_AmongWorkers = Literal["livesum", "livemin", "livemax"]


class _Distribution(Histogram):
    """prometheus_client's histogram, which finds the bucket by bisection: 0.6 µs less for each value."""

    def observe(self, amount: float, exemplar: dict[str, str] | None = None) -> None:
        if exemplar:
            super().observe(amount, exemplar)
        else:
            self._sum.inc(amount)
            self._buckets[bisect_left(self._upper_bounds, amount)].inc(1)

    def observe_all(self, amounts: Sequence[float]) -> None:
        self._sum.inc(sum(amounts))
        for amount in amounts:
            self._buckets[bisect_left(self._upper_bounds, amount)].inc(1)


class Metrics:
    """Counts what the server does; every method but `render` costs microseconds."""

    def __init__(self, registry: CollectorRegistry, page: Collector) -> None:
        """The metrics live in `registry`; `page` collects all that is to be shown."""
        self._page = page

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, registry=registry)

        def histogram(
            name: str, text: str, *labels: str, buckets: Sequence[float] = _SECONDS
        ) -> _Distribution:
            return _Distribution(name, text, labels, buckets=buckets, registry=registry)

        def gauge(name: str, text: str, among_workers: _AmongWorkers, *labels: str) -> Gauge:
            return Gauge(name, text, labels, multiprocess_mode=among_workers, registry=registry)

        self._requests = counter("mlc_requests_total", "Answered requests.", "door", "status")
        self._request_seconds = histogram("mlc_request_seconds", "Time from head to answer.", "door")
        self._errors = counter("mlc_errors_total", "Refused and failed requests.", "reason")
        self._in_flight = gauge("mlc_in_flight", "Requests under way.", "livesum")
        self._batch_rows = histogram("mlc_batch_rows", "Rows in one call of the model.", buckets=_COUNTS)
        self._batch_tasks = histogram(
            "mlc_batch_tasks", "Requests in one call of the model.", buckets=_COUNTS
        )
        self._model_seconds = histogram("mlc_model_seconds", "Time of one call of the model.")
        self._queue_seconds = histogram("mlc_queue_seconds", "Time that a request waited for the model.")
        self._queue_tasks = gauge("mlc_queue_tasks", "Requests that wait for the model.", "livesum")
        self._model_info = gauge("mlc_model_info", "The served model; always 1.", "livemax", *_MODEL_LABELS)
        self._model_ready = gauge("mlc_model_ready", "1 while all workers have the model ready.", "livemin")
        self._load_seconds = gauge("mlc_model_load_seconds", "Time to load and warm the model.", "livemax")
        self._lost_lines = counter("mlc_log_lines_dropped_total", "Lines that a log could not take.", "log")
        self._waiting: Callable[[], int] = int
        self._answered: dict[tuple[str, int], tuple[Counter, _Distribution]] = {}
        for log in ("access", "request"):  # a rate needs to have seen what was before the first loss
            self._lost_lines.labels(log)
        for of_this_worker in (self._in_flight, self._queue_tasks, self._model_ready):
            of_this_worker.set(0)  # an earlier worker may have had the same process number

    @classmethod
    def create(cls) -> Metrics:
        """Metrics of this worker, shared with others where the environment names a folder for them."""
        disable_created_metrics()  # type: ignore[no-untyped-call]
        folder = os.environ.get(FOLDER)  # prometheus_client reads it there, too
        # prometheus_client chooses when it is imported, which may be before the folder was made
        values.ValueClass = values.MultiProcessValue() if folder else values.MutexValue  # type: ignore[no-untyped-call]
        registry = CollectorRegistry()
        if folder:
            return cls(registry, _Workers(Path(folder)))
        ProcessCollector(registry=registry)
        return cls(registry, registry)

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """The page and its content type: OpenMetrics where the Accept header asks for it, else plain text."""
        self._queue_tasks.set(self._waiting())
        encode, content_type = choose_encoder(accept)
        return encode(self._page), content_type

    def began(self) -> None:
        """A request's head is here."""
        self._in_flight.inc()

    def ended(self, door: str, status: int, seconds: float, reason: str = "") -> None:
        """A request was answered; `reason` is the word for what went wrong."""
        self._in_flight.dec()
        try:
            count, duration = self._answered[door, status]
        except KeyError:
            count, duration = self._bind(door, status)
        count.inc()
        duration.observe(seconds)
        if reason:
            self._errors.labels(reason).inc()

    def _bind(self, door: str, status: int) -> tuple[Counter, _Distribution]:
        pair = self._requests.labels(door, str(status)), self._request_seconds.labels(door)
        self._answered[door, status] = pair
        return pair

    def batch(self, rows: int, model_seconds: float, waits: Sequence[float]) -> None:
        """The model was called with the rows of several tasks; `waits` has the seconds that each waited."""
        self._batch_rows.observe(rows)
        self._batch_tasks.observe(len(waits))
        self._model_seconds.observe(model_seconds)
        self._queue_seconds.observe_all(waits)
        self._queue_tasks.set(self._waiting())

    def watch_queue(self, waiting: Callable[[], int]) -> None:
        """`waiting` tells how many requests wait for the model; asked after each batch and for each page."""
        self._waiting = waiting

    def ready(self, model: ModelInfo, load_seconds: float) -> None:
        """The model is loaded and warm."""
        self._model_info.labels(**asdict(model)).set(1)
        self._load_seconds.set(load_seconds)
        self._model_ready.set(1)

    def lost_lines(self, log: str, lines: int) -> None:
        """A log ("access", "request") dropped lines."""
        self._lost_lines.labels(log).inc(lines)


class _Workers(Collector):
    """All workers that share a folder: what they counted, and the process metrics of each, with its `pid`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterator[Metric]:
        for worker in self._numbers():
            if not Path(f"/proc/{worker}").exists():
                with suppress(FileNotFoundError):  # another worker does the same
                    mark_process_dead(worker, str(self._folder))  # type: ignore[no-untyped-call]
        # a worker that begins has an empty file for a moment, where MultiProcessCollector.collect fails
        files = [str(file) for file in self._folder.glob("*.db") if file.stat().st_size]
        yield from MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]
        yield from self._processes()

    def _processes(self) -> Iterable[Metric]:
        families: dict[str, Metric] = {}
        for worker in sorted(self._numbers()):
            for one in ProcessCollector(pid=partial(int, worker), registry=None).collect():
                all_of_it = families.setdefault(one.name, Metric(one.name, one.documentation, one.type))
                for sample in one.samples:
                    all_of_it.add_sample(sample.name, {"pid": str(worker)}, sample.value)
        return families.values()

    def _numbers(self) -> set[int]:
        """Process numbers, which end the names of the workers' files."""
        return {int(file.stem.rpartition("_")[2]) for file in self._folder.glob("gauge_live*.db")}
