"""Claims in words: which way something went, how sure that is, whether it is over."""

from __future__ import annotations

import re
from collections.abc import Sequence

from perf_pipeline.monitoring.prose.names import words_of

RISE = frozenset(
    (
        *("rose", "rise", "rises", "rising", "risen", "increase", "increased", "increases", "increasing", "grew"),
        *("growing", "grown", "climbed", "climbing", "jumped", "jump", "spiked", "spike", "surged", "surge", "up"),
        *("higher", "slower", "dearer", "worsened", "soared", "ballooned", "improved", "improving", "more"),
    )
)
FALL = frozenset(
    (
        *(
            "fell",
            "fall",
            "falls",
            "falling",
            "fallen",
            "drop",
            "dropped",
            "drops",
            "dropping",
            "decrease",
            "decreased",
        ),
        *("decreasing", "declined", "decline", "declining", "down", "lower", "lost", "loss", "collapsed", "collapse"),
        *("plunged", "plummeted", "faster", "cheaper", "fewer", "less", "reduced", "shrank", "sank"),
    )
)
METRICS = {
    "success": frozenset(("success", "successes", "successful", "succeed", "succeeded", "succeeds")),
    "errors": frozenset(("error", "errors")),
    "latency": frozenset(("latency", "latencies", "slow", "slower", "slowdown", "response-time")),
    "cost": frozenset(("cost", "costs", "spend", "spending", "bill", "dearer", "cheaper")),
    "tokens": frozenset(("token", "tokens")),
    "traffic": frozenset(("traffic", "volume", "load", "arrived", "silent", "silence")),
    "score": frozenset(("score",)),
    "memory": frozenset(("memory", "cpu", "disk")),
}
_ERROR_NAME = re.compile(r"\w*(?:Error|Exception|Timeout)\b")

BACKED_ONLY = {
    "how much of it": (
        *("all", "every", "everything", "everyone", "none", "only", "always", "never", "most", "mostly", "majority"),
        *("minority", "nearly", "almost", "entirely", "completely", "fully", "solely", "exclusively", "both", "rarely"),
        *("often", "sometimes", "many", "few", "everywhere", "fleet-wide", "whole", "entire", "widespread"),
    ),
    "how sure it is": (
        *(
            "certainly",
            "definitely",
            "surely",
            "proven",
            "proved",
            "confirmed",
            "confirms",
            "guaranteed",
            "undoubtedly",
        ),
        *("undeniably", "clearly", "obviously", "certain", "known"),
    ),
    "that it is over": (
        *("recovered", "recovering", "recovery", "resolved", "fixed", "solved", "over", "ended", "normal", "mitigated"),
        *("acknowledged", "healthy", "stable", "stabilised", "stabilized", "silenced", "restored", "gone"),
    ),
    "how grave it is": (
        "critical",
        "high-severity",
        "minor",
        "negligible",
        "harmless",
        "catastrophic",
        "outage",
        "low",
    ),
    "what is not": (
        *("no", "not", "never", "without", "neither", "nor", "nothing", "unaffected", "unchanged", "unrelated"),
        *("isn't", "wasn't", "aren't", "weren't", "didn't", "doesn't", "don't", "hasn't", "haven't", "cannot", "can't"),
    ),
    "who did it": (
        *("attack", "attacked", "hacked", "breach", "leaked", "stolen", "malicious", "legal", "fired", "blame"),
        *("deliberately", "sabotage", "security", "customers", "users", "revenue", "weekend", "holiday", "yesterday"),
        *("today", "tomorrow", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"),
        *("morning", "evening", "night", "noon", "midnight", "week", "weeks", "month", "months", "year", "years"),
    ),
}
"""Words that claim something of their own: prose may use them where a fact does."""

FREE_IN_ADVICE = ("how much of it", "what is not", "that it is over", "how grave it is")
"""What advice may say without a fact: 'do not deploy until all tasks succeed' claims nothing."""


def unbacked_words(prose: str, facts: Sequence[str], *, advice: bool) -> list[str]:
    """Words of `BACKED_ONLY` that no fact holds."""
    known = {word for fact in facts for word in words_of(fact)}
    free = FREE_IN_ADVICE if advice else ()
    claims = {word for kind, words in BACKED_ONLY.items() if kind not in free for word in words}
    return [word for word in dict.fromkeys(words_of(prose)) if word in claims and word not in known]


def wrong_directions(clause: str, facts: Sequence[str]) -> list[str]:
    """What the clause says of a metric that the facts say otherwise, or not at all."""
    said = set(words_of(clause))
    wrong = []
    for metric in metrics_of(clause):
        about = [fact for fact in facts if metric in metrics_of(fact)]
        if not about:
            wrong.append(f"no fact is about {metric}")
            continue
        known = [set(words_of(fact)) for fact in about]
        for way, words, opposite in (("up", RISE, FALL), ("down", FALL, RISE)):
            if said & words and not said & opposite and not any(fact & words for fact in known):
                wrong.append(f"{metric} did not go {way}")
    return wrong


def metrics_of(text: str) -> set[str]:
    """The metrics that a text speaks of. The name of an exception does not speak of errors as a metric."""
    said = set(words_of(_ERROR_NAME.sub(" ", text)))
    return {metric for metric, words in METRICS.items() if said & words}
