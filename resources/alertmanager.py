"""Prometheus Alertmanager, through its API v2: it is shown alerts, and does the telling itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import httpx
from pydantic import Field

from resources.reading import MessengerError


class AlertmanagerResource(dg.ConfigurableResource):
    """One Alertmanager. Alerts shown again, with the same labels, are the same alerts."""

    url: str = Field(description="Its address without /api/v2, such as http://alertmanager:9093.")
    timeout_seconds: float = Field(default=10, gt=0)

    def describe(self) -> str:
        return f"Alertmanager at {self.url}"

    def show(self, alerts: Sequence[Mapping[str, Any]]) -> None:
        """Show alerts in the form of the API's `postableAlerts`. Raises MessengerError; asking again does no harm."""
        address = f"{self.url.rstrip('/')}/api/v2/alerts"
        try:
            answer = httpx.post(address, json=list(alerts), timeout=self.timeout_seconds)
        except httpx.HTTPError as error:
            raise MessengerError(
                f"Alertmanager at {self.url} could not be reached ({type(error).__name__}): check that it runs, and "
                "the target's url in fleet.yaml.",
                retryable=True,
            ) from error
        except httpx.InvalidURL as error:
            raise MessengerError(
                f"{self.url} is not an address: correct the target's url in fleet.yaml.", retryable=False
            ) from error
        if not answer.is_success or "html" in answer.headers.get("content-type", ""):
            raise self._refusal(answer)

    def _refusal(self, answer: httpx.Response) -> MessengerError:
        if answer.status_code >= 500 or answer.status_code == 429:
            return MessengerError(
                f"Alertmanager at {self.url} failed (HTTP {answer.status_code}): see its log.", retryable=True
            )
        if answer.status_code == 400:
            said = " ".join(answer.text.split())[:200]
            return MessengerError(
                f"Alertmanager at {self.url} refused alerts: {said}", retryable=False, surely_refused=True
            )
        return MessengerError(
            f"{self.url} answered HTTP {answer.status_code} and is not Alertmanager's API v2: set the target's url in "
            "fleet.yaml to the address that Alertmanager's own pages have, without /api/v2.",
            retryable=False,
            surely_refused=True,
        )
