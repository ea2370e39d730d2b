"""What a source answers when it is asked for a window, and how it fails."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Reading:
    """The rows that a source gave for a window, and what is known to be missing from them.

    `gaps` holds one sentence for each reason why the rows may be incomplete; none means complete.
    """

    frame: pd.DataFrame
    gaps: tuple[str, ...] = ()


class SourceError(Exception):
    """A source could not answer. The message is a sentence for the person who must act.

    `retryable` says whether asking again later, with nothing changed, may succeed.
    """

    system = "The source"

    def __init__(self, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.retryable = retryable


class PhoenixError(SourceError):
    """Phoenix, or the embedded span files, could not be read completely."""

    system = "Phoenix"


class SupabaseError(SourceError):
    """The agent_state table could not be read completely."""

    system = "Supabase"


class RailwayError(SourceError):
    """Railway's logs or deployments could not be read completely."""

    system = "Railway"


class LedgerError(SourceError):
    """The ledger's database did not do what it was asked for."""

    system = "The ledger"


class DagsterError(SourceError):
    """Dagster's webserver could not be asked, or refused what it was asked."""

    system = "Dagster"


class MessengerError(SourceError):
    """A channel to people did not take a message, or could not be asked.

    `surely_refused` is true only where it is known that nothing was posted: then a different message may be posted
    without the risk of a duplicate. `not_for_seconds` is how long the channel asked not to be tried again.
    """

    system = "The channel"

    def __init__(
        self, message: str, *, retryable: bool, surely_refused: bool = False, not_for_seconds: float = 0
    ) -> None:
        super().__init__(message, retryable=retryable)
        self.surely_refused = surely_refused
        self.not_for_seconds = not_for_seconds


class SlackError(MessengerError):
    """Slack did not take a message."""

    system = "Slack"
