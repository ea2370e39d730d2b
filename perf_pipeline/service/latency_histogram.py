"""Task latencies as an OpenMetrics histogram, each bucket with a trace that fell into it."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from prometheus_client.core import GaugeHistogramMetricFamily, Metric
from prometheus_client.samples import Exemplar, Sample

BUCKETS_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, math.inf)


def latency_histogram(name: str, said: str, tasks: pd.DataFrame) -> Metric:
    """How many tasks took at most so long, by agent; the exemplar of a bucket is the slowest task that falls into it.

    `tasks` has the columns agent, trace_id and latency_ms, without missing values.
    """
    family = GaugeHistogramMetricFamily(name, said, labels=["agent"])
    for agent, own in tasks.groupby("agent"):
        seconds, traces = own["latency_ms"].to_numpy() / 1000, own["trace_id"].to_numpy()
        over = -math.inf
        for limit in BUCKETS_SECONDS:
            falls_here = (seconds > over) & (seconds <= limit)
            exemplar = None
            if falls_here.any():
                slowest = int(np.where(falls_here, seconds, -math.inf).argmax())
                exemplar = Exemplar({"trace_id": str(traces[slowest])}, float(seconds[slowest]))
            labels = {"agent": str(agent), "le": "+Inf" if limit == math.inf else str(limit)}
            count = float((seconds <= limit).sum())
            family.samples.append(Sample(f"{name}_bucket", labels, count, None, exemplar))
            over = limit
        family.samples.append(Sample(f"{name}_gcount", {"agent": str(agent)}, float(len(seconds))))
        family.samples.append(Sample(f"{name}_gsum", {"agent": str(agent)}, float(seconds.sum())))
    return family
