"""How much evidence of an incident the data hold: the log likelihood ratio, in nats, of the true incident's parameters
against the true healthy ones.

- success_drop, success_drift, cold_start_collapse: successes given tasks, beta-binomial. Where the logit wanders as an
  AR(1), a hidden Markov filter that starts before the incident.
- error_spike: errors given tasks, a beta-binomial (left by failures) plus a negative binomial (recovered).
- log_error_spike: error logs given tasks, negative binomial with the true moments.
- latency_increase, latency_drift: mean of ln(ms) given tasks, normal; a Kalman filter over the AR(1) between windows.
- cost_spike: ln(cost a task) given tasks, normal with the moments of a sum of lognormals (Fenton-Wilkinson).
- silence, traffic_drop, traffic_surge: tasks, negative binomial.

Only the named metric counts, although others may move too. Nobody knows where a wandering state is, the truth neither.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from benchmarks.detection.healthy_fleet import Floats, HealthyFleet
from benchmarks.detection.incident_plan import SUCCESS_KINDS, Blip, Incident, effects_of, success_after

FILTER_WINDOWS = 96  # healthy windows before an incident, from which its wandering state is estimated
GRID = np.linspace(-3.5, 3.5, 29)  # of the AR(1) state, in standard deviations


def arrived_evidence(
    fleet: HealthyFleet,
    incidents: list[Incident],
    blips: list[Blip],
    values: dict[str, NDArray],
    arrived: NDArray[np.bool_],
) -> list[Floats]:
    """For each incident the nats that each of its windows added; 0 for windows that did not arrive.

    `values` are the drawn metrics (agents x windows) by column. Blips before an incident are left out of the filters.
    """
    usable = arrived.copy()
    for blip in blips:
        usable[blip.agent, blip.window] = False
    effects = effects_of(fleet, incidents, [])
    result = []
    for incident in incidents:
        a = incident.agent
        span = slice(incident.first, incident.end)
        before = max(incident.first - FILTER_WINDOWS, int(fleet.began[a]))
        wide = slice(before, incident.end)
        here = usable[a]
        if incident.kind in SUCCESS_KINDS:
            table = np.stack(
                [
                    success_log_likelihood(
                        fleet, a, wide, values["tasks"][a, wide], values["successes"][a, wide], lost[a, wide]
                    )
                    for lost in (np.zeros_like(effects.success_lost), effects.success_lost)
                ]
            )
            table[:, ~here[wide], :] = 0.0
            nats = _filtered_success(table, incident.first - before, fleet.success_ar_phi[a])
        elif incident.kind.startswith("latency"):
            nats = _filtered_latency(
                values["latency_log_mean"][a, wide] - fleet.latency[a, wide],
                np.where(here[wide], values["tasks"][a, wide], 0),
                np.log(effects.latency[a, wide]),
                incident.first - before,
                float(fleet.latency_sd[a]),
                float(fleet.latency_ar_sd[a]),
                float(fleet.latency_ar_phi[a]),
            )
        else:
            data = {name: array[a, span] for name, array in values.items()}
            nats = _independent(fleet, a, span, incident, data)
        result.append(np.where(here[span], nats, 0.0))
    return result


def _independent(fleet: HealthyFleet, a: int, span: slice, incident: Incident, data: dict[str, NDArray]) -> Floats:
    """Kinds whose windows are independent of each other."""
    laws = {
        "error_spike": errors_log_likelihood,
        "log_error_spike": logs_log_likelihood,
        "cost_spike": cost_log_likelihood,
    }
    if incident.kind in laws:
        law = laws[incident.kind]
        return law(fleet, a, span, data, incident.size) - law(fleet, a, span, data, 1.0)
    expected, dispersion = fleet.expected_tasks[a, span], fleet.traffic_dispersion[a]
    return negative_binomial(data["tasks"], expected * incident.size, dispersion) - negative_binomial(
        data["tasks"], expected, dispersion
    )


def negative_binomial(count: NDArray, mean: Floats, dispersion: float | Floats) -> Floats:
    """Log probability of counts with variance mean + dispersion * mean^2; a mean of 0 allows only 0."""
    shape = 1 / np.asarray(dispersion, dtype=float)
    safe = np.maximum(mean, 1e-12)
    log_p = (
        gammaln(count + shape)
        - gammaln(shape)
        - gammaln(count + 1.0)
        + shape * (np.log(shape) - np.log(shape + safe))
        + count * (np.log(safe) - np.log(shape + safe))
    )
    return np.where(mean > 0, log_p, np.where(count == 0, 0.0, -np.inf))


def beta_binomial(successes: NDArray, tasks: NDArray, probability: Floats, rho: float | Floats) -> Floats:
    """Log probability of successes out of tasks, correlated by rho; a probability of 0 allows only 0."""
    sharpness = (1 - rho) / rho
    inside = np.clip(probability, 1e-9, 1 - 1e-9)
    a, b = inside * sharpness, (1 - inside) * sharpness
    log_p = (
        gammaln(tasks + 1.0)
        - gammaln(successes + 1.0)
        - gammaln(tasks - successes + 1.0)
        + gammaln(successes + a)
        + gammaln(tasks - successes + b)
        - gammaln(tasks + sharpness)
        - gammaln(a)
        - gammaln(b)
        + gammaln(sharpness)
    )
    return np.where(probability > 0, log_p, np.where(successes == 0, 0.0, -np.inf))


def success_log_likelihood(
    fleet: HealthyFleet, a: int, span: slice, tasks: NDArray, successes: NDArray, lost: Floats
) -> Floats:
    """Log probability of the successes (windows x states): a column for each value of the wandering state."""
    odds = fleet.success[a, span] / (1 - fleet.success[a, span])
    states: Floats = np.exp(GRID * fleet.success_ar_sd[a]) if fleet.success_ar_sd[a] > 0 else np.ones(1)
    shifted = odds[:, None] * states[None, :]
    left = success_after(shifted / (1 + shifted), lost[:, None])
    return beta_binomial(successes[:, None], tasks[:, None], left, fleet.success_rho[a])


def _filtered_success(table: Floats, first: int, phi: float) -> Floats:
    """Gain in each window of the incident. `table`: (healthy, incident) x windows x states."""
    states = table.shape[2]
    if states == 1:
        return (table[1] - table[0])[first:, 0]
    prior = np.exp(-(GRID**2) / 2)
    move = np.exp(-((GRID[None, :] - phi * GRID[:, None]) ** 2) / (2 * (1 - phi**2)))
    move /= move.sum(axis=1, keepdims=True)
    belief = np.stack([prior / prior.sum()] * 2)  # of a world without and of one with the incident
    gains = []
    for at in range(table.shape[1]):
        likelihood = table[:, at, :] if at >= first else table[[0, 0], at, :]
        joint = np.log(belief + 1e-300) + likelihood
        evidence = np.logaddexp.reduce(joint, axis=1)
        if at >= first:
            gains.append(evidence[1] - evidence[0])
        belief = np.exp(joint - evidence[:, None]) @ move
    return np.array(gains)


def _filtered_latency(
    deviation: Floats, tasks: NDArray, shift: Floats, first: int, sd: float, ar_sd: float, phi: float
) -> Floats:
    """Gain in each window of the incident, from deviations of the mean log latency and the true shift."""
    mean = np.zeros(2)  # of the wandering state, in a world without and in one with the incident
    variance = ar_sd**2
    gains = []
    for at in range(len(tasks)):
        gain = 0.0
        if tasks[at] > 0:
            total = variance + sd**2 / tasks[at]
            surprise = deviation[at] - mean - np.array([0.0, shift[at]])
            gain = float((surprise[0] ** 2 - surprise[1] ** 2) / (2 * total))
            mean = mean + variance / total * surprise
            variance *= 1 - variance / total
        if at >= first:
            gains.append(gain)
        mean, variance = phi * mean, phi**2 * variance + (1 - phi**2) * ar_sd**2
    return np.array(gains)


def errors_log_likelihood(fleet: HealthyFleet, a: int, span: slice, data: dict[str, NDArray], factor: float) -> Floats:
    """Log probability of the errors given the tasks alone: those of failures and the recovered ones, convolved.

    The errors of failures are a thinned beta-binomial, taken as a beta-binomial of the same mean and variance.
    """
    tasks, errors = data["tasks"], data["error_count"]
    others_mean = tasks * (fleet.recovered_errors[a] + (factor - 1) * fleet.error_rate()[a, span])
    mean, rho = _failure_errors(fleet, a, span)
    counts = np.arange(int(np.minimum(tasks, errors).max(initial=0)) + 1)[None, :]
    possible = (counts <= tasks[:, None]) & (counts <= errors[:, None])
    of_failures = np.where(possible, counts, 0)
    log_joint = beta_binomial(of_failures, tasks[:, None], mean[:, None], rho[:, None]) + negative_binomial(
        errors[:, None] - of_failures,
        np.broadcast_to(others_mean[:, None], possible.shape),
        fleet.recovered_dispersion[a],
    )
    return np.logaddexp.reduce(np.where(possible, log_joint, -np.inf), axis=1)


def logs_log_likelihood(fleet: HealthyFleet, a: int, span: slice, data: dict[str, NDArray], factor: float) -> Floats:
    """Log probability of the error logs given the tasks alone, taken as negative binomial with the true moments."""
    tasks, alpha, per_error = data["tasks"], fleet.log_dispersion[a], fleet.logs_per_error[a]
    mean, rho = _failure_errors(fleet, a, span)
    recovered = tasks * fleet.recovered_errors[a]
    errors = tasks * mean + recovered
    errors_variance = tasks * mean * (1 - mean) * (1 + np.maximum(tasks - 1, 0) * rho)
    errors_variance = errors_variance + recovered + fleet.recovered_dispersion[a] * recovered**2
    usual = fleet.log_background[a] + per_error * errors
    dispersion = alpha + (1 + alpha) * per_error**2 * errors_variance / usual**2
    return negative_binomial(data["log_errors"], usual * factor, dispersion)


def _failure_errors(fleet: HealthyFleet, a: int, span: slice | NDArray) -> tuple[Floats, Floats]:
    """Mean a task, and correlation within a window, of the errors that failed tasks leave."""
    success = fleet.success[a, span]
    spread = success * (1 - success)
    variance = spread * fleet.success_rho[a] + (spread * fleet.success_ar_sd[a]) ** 2
    mean = fleet.errors_per_failure[a] * (1 - success)
    return mean, fleet.errors_per_failure[a] ** 2 * variance / (mean * (1 - mean))


def cost_log_likelihood(fleet: HealthyFleet, a: int, _span: slice, data: dict[str, NDArray], factor: float) -> Floats:
    """Log density of ln(cost a task); 0 where there were no tasks."""
    tasks = np.maximum(data["tasks"], 1)
    task_variance = fleet.tokens_sd[a] ** 2 + fleet.cost_sd[a] ** 2
    sum_variance = np.log1p(np.expm1(task_variance) / tasks)
    mean = fleet.tokens[a] + fleet.cost_per_token[a] + task_variance / 2 - sum_variance / 2 + np.log(factor)
    variance = sum_variance + fleet.cost_window_sd[a] ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        density = -0.5 * (np.log(data["cost_usd"] / tasks) - mean) ** 2 / variance - 0.5 * np.log(2 * np.pi * variance)
    return np.where(data["tasks"] > 0, density, 0.0)
