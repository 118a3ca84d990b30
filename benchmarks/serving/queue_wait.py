"""How long requests waited for the model, from the histogram in our server's own metrics."""

from __future__ import annotations

import re
from collections import defaultdict

BUCKET = re.compile(r'^mlc_queue_seconds_bucket\{(?:.*,)?le="([^"]+)".*\} (\S+)$', re.MULTILINE)


def longest_queue_wait(metrics: str) -> float:
    """The least bound in seconds below which every wait lies, infinite where the last bucket is needed.

    `metrics` is a page in Prometheus' text format; raises SystemExit where it lacks the histogram.
    """
    counts: defaultdict[float, float] = defaultdict(float)
    for bound, count in BUCKET.findall(metrics):
        counts[float(bound)] += float(count)
    if not counts:
        raise SystemExit("/metrics has no histogram mlc_queue_seconds")
    return min(bound for bound, count in counts.items() if count == counts[float("inf")])
