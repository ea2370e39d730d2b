"""Which of two versions a change left, and which one it brought."""

from __future__ import annotations

from collections.abc import Sequence

from perf_pipeline.monitoring.prose.facts import Fact
from perf_pipeline.monitoring.prose.tokens import Token
from perf_pipeline.monitoring.prose.vocabulary import word_set

_BACK = word_set("to restore pin keep deploy redeploy use promote reactivate")
_AWAY = word_set("revert from undo remove back")


def swapped_versions(sentence: Sequence[Token], facts: Sequence[Fact], *, advice: bool) -> list[str]:
    """Versions that have swapped their places. Advice goes the other way: back to the version before the change."""
    wrong = []
    for fact in facts:
        if fact.versions is None:
            continue
        old, new = (version.lower() for version in fact.versions)
        goes_to, comes_from = (new, old) if advice else (old, new)
        said = {token.lower for token in sentence}
        if not advice and old in said and new not in said:
            wrong.append(f"{old} is the version before the change")
        for place, token in enumerate(sentence):
            nearest = {one.lower for one in sentence[max(0, place - 1) : place]}
            if advice:
                nearest -= {"the", "version"}
            if token.lower == goes_to and nearest & (_BACK if advice else {"to", "→"}):
                wrong.append(f"{token.text} is the wrong version")
            if token.lower == comes_from and nearest & (_AWAY if advice else {"from"}):
                wrong.append(f"{token.text} is the wrong version")
    return wrong
