"""What the product asks language models about a fleet's performance. The figures are computed; a model explains them.

Each signature takes *facts*: sentences made of the tables, the only things that an answer may repeat. None of them asks
for a figure that is not there already, and nothing that the answers say widens a budget, a threshold or a guard.
"""

from __future__ import annotations

from typing import Annotated, Literal

import dspy
from pydantic import Field

CauseKind = Literal["model", "provider", "tool", "program", "deployment", "caller", "step", "unknown"]
Assessment = Literal["healthy", "watch", "act"]
Advice = Literal["proceed", "wait", "decline"]
Confidence = Annotated[float, Field(ge=0, le=1)]


class PerformanceAnalysis(dspy.Signature):
    """Say in one or two sentences what matters most about the fleet in this period, for the engineer on call.

    Repeat figures and names exactly as the facts have them, those of one fact in their order, and never more than one
    fact in a clause. Write no figure in letters, none that you worked out yourself, and no cause that no fact names. At
    most 35 words.
    """

    facts: str = dspy.InputField(desc="what was measured of each agent, a sentence a line")
    assessment: Assessment = dspy.OutputField(desc="act: something is failing now; watch: something is getting worse")
    insight: str = dspy.OutputField(desc="what matters most, at most 35 words")


class AnomalyDetection(dspy.Signature):
    """A change of an agent was found by statistics. Say which kind of cause explains it best.

    A value that explains a large share of the change, by little chance, weighs most; a deployment, a new version or a
    change of the model minutes before the onset weighs more than one long before it, or after it. Answer unknown where
    no fact speaks for a cause.
    """

    facts: str = dspy.InputField(desc="what was measured, a sentence a line")
    cause_kind: CauseKind = dspy.OutputField(desc="the kind of cause that explains the change best")
    confidence: Confidence = dspy.OutputField(desc="how likely that is, from 0 to 1")


class OptimizationRecommendation(dspy.Signature):
    """An agent's prompts are about to be optimized. Advise whether that is likely to help now.

    Wait where the facts show an incident of a provider, a tool or a deployment that better prompts cannot mend. Repeat
    figures and names exactly as the facts have them. Your advice is shown to people; the limits stay as they are.
    """

    facts: str = dspy.InputField(desc="the agent, what was decided and why, and how it is doing; a sentence a line")
    advice: Advice = dspy.OutputField()
    reason: str = dspy.OutputField(desc="why, in one sentence of at most 25 words")


class PerformanceReport(dspy.Signature):
    """Word an incident for the engineer on call, as a good colleague would: plain, short and exact.

    Each clause repeats one fact: its figures in digits, with their units and in their order, its times and its names.
    Never mix two facts in a clause; write no figure in letters, none that you worked out yourself, and no cause that no
    fact names. Say "likely" of every cause. Titles of changes stand in quotation marks. What to do is an imperative,
    such as "Roll the deployment back". No greeting, no list, no markup. All three together at most 45 words.
    """

    facts: str = dspy.InputField(desc="what was measured, a sentence a line")
    cause_kind: CauseKind = dspy.InputField(desc="the kind of cause that explains it best")
    what_changed: str = dspy.OutputField(desc="what changed, since when; at most 15 words")
    likely_cause: str = dspy.OutputField(
        desc="the most likely cause, with the figures that speak for it; at most 20 words"
    )
    what_to_do: str = dspy.OutputField(desc="what to do now, as one imperative sentence of at most 15 words")
