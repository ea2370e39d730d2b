"""A log line is about the agent that it names as a whole word."""

from __future__ import annotations

import pandas as pd
import pytest

from perf_pipeline.monitoring.logs import name_agents
from tests.builders import log_line, logs

AGENTS = ("AuditAgent", "InboundAgent", "Inbound", "C++Agent")


def agent_of(message: str, named: str | None = None) -> str | None:
    found = name_agents(logs(log_line(message, agent=named)), AGENTS)["agent"].iloc[0]
    return found if pd.notna(found) else None


@pytest.mark.parametrize(
    ("message", "agent"),
    [
        ("AuditAgent failed", "AuditAgent"),
        ("[AuditAgent] failed", "AuditAgent"),
        ("failed in AuditAgent: no answer", "AuditAgent"),
        ("failed in AuditAgent", "AuditAgent"),
        ("AuditAgent.forward failed", "AuditAgent"),
        ('{"agent":"AuditAgent"}', "AuditAgent"),
        ("AuditAgentHelper failed", None),
        ("MyAuditAgent failed", None),
        ("audit_AuditAgent failed", None),
        ("AuditAgent_2 failed", None),
        ("AuditAgent-canary failed", None),
        ("pre-AuditAgent failed", None),
        ("agents.AuditAgent failed", None),
        ("auditagent failed", None),
        ("C++Agent failed", "C++Agent"),
        ("CCAgent failed", None),
        ("nobody failed", None),
        ("", None),
    ],
)
def test_a_name_counts_only_as_a_whole_word(message: str, agent: str | None) -> None:
    assert agent_of(message) == agent


def test_of_several_names_the_first_in_the_message_wins() -> None:
    assert agent_of("InboundAgent called AuditAgent") == "InboundAgent"
    assert agent_of("AuditAgentHelper called InboundAgent") == "InboundAgent"


def test_a_name_that_begins_another_does_not_hide_it() -> None:
    assert agent_of("InboundAgent failed") == "InboundAgent"
    assert agent_of("Inbound failed") == "Inbound"


def test_an_agent_that_the_line_itself_names_stands_above_its_words() -> None:
    assert agent_of("AuditAgent failed", named="Router") == "Router"


def test_no_lines_stay_no_lines() -> None:
    found = name_agents(logs(), AGENTS)
    assert len(found) == 0
    assert list(found.columns) == list(logs().columns)
