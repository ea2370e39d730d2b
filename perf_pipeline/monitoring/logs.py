"""Which agent a log line is about."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd


def name_agents(logs: pd.DataFrame, agents: Sequence[str]) -> pd.DataFrame:
    """The logs (`tables.RAW_LOGS`) with `agent` filled from the message where no attribute names one.

    A name counts only as a whole word, so that AuditAgent is not found in AuditAgentHelper; of several names the
    first in the message wins.
    """
    names = "|".join(re.escape(name) for name in sorted(agents, key=len, reverse=True))
    mentioned = logs["message"].str.extract(rf"(?<![\w.-])({names})(?![\w-])", expand=False)
    return logs.assign(agent=logs["agent"].fillna(mentioned))
