"""When evidence becomes a finding, and when it ends: quiet → pending → open → recovering → resolved.

A change opens when its evidence passes the bar, its effect matters, and a second window confirms it. Only a total
loss of success over several tasks opens at once. A finding ends when the evidence *for health* stands 100 to 1 over
more than one window, so a lucky window closes nothing, and silence proves nothing. What lasts for
`new_normal_windows` becomes the baseline.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from scipy.special import betainc

from perf_pipeline.monitoring.detectors.evidence import forget_evidence, statistic
from perf_pipeline.monitoring.detectors.judgement import Judgement
from perf_pipeline.monitoring.detectors.memory import NEVER

PENDING_BELOW_BAR = 4.0
"""Nats below the bar from which a finding is pending."""

CONFIRMATION = 0.6
"""Nats that the other windows of a run must add to its strongest."""

RECOVERING, RESOLVED = 1.5, 4.6
"""Nats for health: a finding is recovering from the first, and resolved at the second (ln 100)."""

RECOVERY_CAP, GOOD_WINDOWS = 3.0, 2
"""The most that one window may say for health, and how many windows must say so."""

MATURE_TASKS, MATURE_WINDOWS = 60, 24
"""An agent's own history counts as known from here on. Before, only an absolute collapse of success is found."""

COLLAPSE_TASKS, COLLAPSE_CHANCE = 5, 5e-3
"""No success in so many tasks opens at once where a healthy window does so less often than this."""

ABSOLUTE_SHARE, ABSOLUTE_CHANCE = 0.5, 0.001
"""An agent without a history has collapsed where fewer than half of its tasks succeed, but for this chance."""

CRITICAL = 3


class Phase(IntEnum):
    QUIET = 0
    PENDING = 1
    OPEN = 2
    RECOVERING = 3


class Event(IntEnum):
    """What happened at the close of a window."""

    NOTHING = 0
    OPENED = 1
    RESOLVED = 2
    NEW_NORMAL = 3


# Looking up a member costs as much as the arithmetic of a small fleet.
IS_OPEN, QUIET = int(Phase.OPEN), int(Phase.QUIET)


@dataclass(frozen=True)
class Bar:
    """`evidence` in nats; effects in the model's unit, `steps` those of medium, high and critical severity.

    `critical_below` is the success rate (in percent) at and under which a drop is critical, whatever its size.
    """

    evidence: float
    effect: float
    steps: tuple[float, float, float]
    critical_below: float
    new_normal_windows: float


@dataclass(frozen=True)
class Bars:
    """The bars of several detectors over all agents, one detector after the other.

    `absolute` marks success rates, which can be known to be bad without a history.
    """

    evidence: np.ndarray
    effect: np.ndarray
    steps: np.ndarray
    critical_below: np.ndarray
    new_normal_windows: np.ndarray
    absolute: np.ndarray

    @classmethod
    def of(cls, bars: Sequence[tuple[Bar, bool]], agents: int) -> Bars:
        def column(values: Sequence[object]) -> np.ndarray:
            return np.repeat(np.array(values), agents, axis=0)

        return cls(
            evidence=column([bar.evidence for bar, _ in bars]),
            effect=column([bar.effect for bar, _ in bars]),
            steps=column([bar.steps for bar, _ in bars]),
            critical_below=column([bar.critical_below for bar, _ in bars]),
            new_normal_windows=column([bar.new_normal_windows for bar, _ in bars]),
            absolute=column([absolute for _, absolute in bars]),
        )


@dataclass(frozen=True)
class Outcome:
    """What is known of each agent after the window. `severity` counts from 0 (low) to 3 (critical).

    `onset` is a window's number: where the change began, as far as the evidence dates it; NEVER while quiet.
    """

    phase: np.ndarray
    event: np.ndarray
    statistic: np.ndarray
    onset: np.ndarray
    opened: np.ndarray
    effect: np.ndarray
    effect_error: np.ndarray
    severity: np.ndarray


def is_mature(memory: np.ndarray) -> np.ndarray:
    return (memory["tasks"] >= MATURE_TASKS) & (memory["windows"] >= MATURE_WINDOWS)


def telling_size(memory: np.ndarray) -> np.ndarray:
    """The size of change (an index) that each agent's evidence speaks for most; of an open one, as long as any does."""
    silent = (memory["phase"] >= IS_OPEN) & (memory["run"].max(axis=1) <= 0)
    return np.where(silent, memory["size"], np.argmax(memory["ratio"], axis=1)).astype(int)


def advance(
    memory: np.ndarray,
    told: Judgement,
    ratios: np.ndarray,
    index: float,
    bars: Bars,
    size: np.ndarray,
    effect: np.ndarray,
    error: np.ndarray,
) -> Outcome:
    """Move every state by one window, in place; one entry per detector and agent.

    `ratios` are the window's capped log ratios; `effect` of the run of the telling size, with its standard error.
    """
    row = np.arange(len(memory))
    was_open = memory["phase"] >= IS_OPEN
    strength = statistic(memory)
    running = memory["run"][row, size] > 0
    began = memory["began"][row, size]

    collapsed = _collapsed(memory, told) & bars.absolute
    enough = running & (strength >= bars.evidence) & _confirmed(memory)
    matters = enough & (effect >= bars.effect) & is_mature(memory)
    opens = ~was_open & told.seen & (matters | collapsed)
    memory["opened"] = np.where(opens, index, memory["opened"])
    memory["onset"] = np.where(opens, np.where(began >= 0, began, index), memory["onset"])
    memory["size"] = np.where(opens | (was_open & running), size, memory["size"])

    against = _weigh_recovery(memory, told, ratios[row, memory["size"].astype(int)], was_open)
    grade = _grade(effect, told, bars, collapsed)
    worsens = opens | (was_open & running & against)
    memory["severity"] = np.where(worsens, np.maximum(memory["severity"], grade), memory["severity"])

    resolved = was_open & (memory["recovery"] >= RESOLVED) & (memory["good_windows"] >= GOOD_WINDOWS)
    accepted = was_open & ~resolved & (index - memory["opened"] >= bars.new_normal_windows)
    over = resolved | accepted
    nearly = ~was_open & ~opens & (strength >= bars.evidence - PENDING_BELOW_BAR)
    shown = was_open | opens
    phase = np.select(
        [over, was_open & (memory["recovery"] >= RECOVERING), shown, nearly],
        [Phase.QUIET, Phase.RECOVERING, Phase.OPEN, Phase.PENDING],
        QUIET,
    )
    outcome = Outcome(
        phase=phase,
        event=np.select([opens, resolved, accepted], [Event.OPENED, Event.RESOLVED, Event.NEW_NORMAL], 0),
        statistic=strength,
        onset=np.where(shown, memory["onset"], np.where(nearly, began, NEVER)),
        opened=np.where(shown, memory["opened"], NEVER),
        effect=effect,
        effect_error=error,
        severity=np.where(shown, memory["severity"], grade).astype(int),
    )
    memory["phase"] = phase
    if over.any():
        forget_evidence(memory, over)
        for name in ("recovery", "good_windows", "severity"):
            memory[name][over] = 0.0
    return outcome


def _confirmed(memory: np.ndarray) -> np.ndarray:
    """Whether the other windows of a run speak for the change too, not only its strongest."""
    return (memory["run"] - memory["peak"]).max(axis=1) >= CONFIRMATION


def _weigh_recovery(memory: np.ndarray, told: Judgement, ratio: np.ndarray, was_open: np.ndarray) -> np.ndarray:
    """Add the window to the evidence for health, in place; which agents the window speaks against."""
    against = told.seen & (ratio > 0)
    step = np.where(told.seen, np.minimum(-ratio, RECOVERY_CAP), 0.0)
    recovery = np.where(was_open, np.maximum(memory["recovery"] + step, 0.0), 0.0)
    memory["recovery"] = recovery
    memory["good_windows"] = np.where(recovery > 0, memory["good_windows"] + (told.seen & (ratio < 0)), 0.0)
    return against


def _collapsed(memory: np.ndarray, told: Judgement) -> np.ndarray:
    """Agents that lost all success in this window; for those without a history, that surely lost half of it."""
    mature = is_mature(memory)
    total_loss = told.seen & (told.expected_term >= COLLAPSE_TASKS) & (told.chance <= COLLAPSE_CHANCE)
    if mature.all():
        return total_loss
    largest = memory["run"].shape[1] - 1
    n = memory["expected_in_run"][:, largest]
    k = np.minimum(memory["seen_in_run"][:, largest], n)
    below_half = (n > 0) & (1 - betainc(k + 1, n - k + 1, ABSOLUTE_SHARE) <= ABSOLUTE_CHANCE)
    return np.where(mature, total_loss, below_half)


def _grade(effect: np.ndarray, told: Judgement, bars: Bars, collapsed: np.ndarray) -> np.ndarray:
    grade = (effect[:, None] >= bars.steps).sum(axis=1)
    return np.where(collapsed | (told.expected - effect <= bars.critical_below), CRITICAL, grade)
