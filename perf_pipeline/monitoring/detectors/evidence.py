"""Evidence that adds up over windows: the Shiryaev-Roberts statistic, and the run of windows that it comes from.

For each size of change j with likelihood ratio L_j of a window, `R_j ← L_j (R_j + 1)`. Their mean over j is the
statistic. While nothing has changed and the model of the baseline holds, its expectation after t windows is t, so
the mean number of windows until it first exceeds A is at least A (Pollak 1987; Shin, Ramdas and Rinaldo 2022 for
any e-process). Beside it runs Page's CUSUM of the same ratios: its last zero dates the change, and the sums since
then estimate its size. Ratios of one window are capped, which keeps the bound and lets no single window decide.
"""

from __future__ import annotations

import numpy as np

from perf_pipeline.monitoring.detectors.memory import NEVER


def gather(
    memory: np.ndarray,
    log_ratios: np.ndarray,
    seen: np.ndarray,
    index: float,
    observed: np.ndarray,
    expected: np.ndarray,
) -> None:
    """Add a window's evidence, in place.

    `log_ratios`: agents × sizes, in nats; `seen`: agents that the window says something about; `observed` and
    `expected`: the terms whose sums over a run give its effect.
    """
    told = seen[:, None]
    increment = np.where(told, log_ratios, 0.0)
    memory["ratio"] = np.where(told, increment + np.logaddexp(0.0, memory["ratio"]), memory["ratio"])
    before = memory["run"]
    run = before + increment
    alive = run > 0
    starts = alive & (before <= 0)
    memory["began"] = np.where(alive, np.where(starts, index, memory["began"]), NEVER)
    memory["peak"] = np.where(alive, np.maximum(np.where(starts, 0.0, memory["peak"]), increment), 0.0)
    for name, terms in (("seen_in_run", observed), ("expected_in_run", expected)):
        added = np.where(told, terms[:, None], 0.0)
        memory[name] = np.where(alive, np.where(starts, 0.0, memory[name]) + added, 0.0)
    memory["run"] = np.where(alive, run, 0.0)


def statistic(memory: np.ndarray) -> np.ndarray:
    """Logarithm of the mean Shiryaev-Roberts statistic over the sizes, in nats."""
    return np.logaddexp.reduce(memory["ratio"], axis=1) - np.log(memory["ratio"].shape[1])


def forget_evidence(memory: np.ndarray, which: np.ndarray) -> None:
    """Begin anew for some agents, in place."""
    memory["ratio"][which] = -np.inf
    for name in ("run", "peak", "seen_in_run", "expected_in_run"):
        memory[name][which] = 0.0
    memory["began"][which] = NEVER
