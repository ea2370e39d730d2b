"""One cell of the fault matrix: a source is read through a proxy that misbehaves, and again when it has healed.

Whatever the fault, the run succeeds, a window that could not be read is never called complete, rows that were read
before are kept, people are told what to do, and after the fault each window holds what the server has: nothing
missing, nothing twice.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dagster as dg
import stamina

from perf_pipeline.checks import SOURCE_COMPLETE
from perf_pipeline.fleet import FleetConfig, load_fleet
from perf_pipeline.jobs import QUIET, range_tags
from perf_pipeline.monitoring.windows import Window
from perf_pipeline.records import SourceHealth, SourceStatus
from perf_pipeline.tables import TABLES, Table
from resources.lake import Lake, LakeIOManager, LakeResource
from resources.ledger import Ledger, LedgerResource
from tests.wire.fault_proxy import (
    FaultProxy,
    Predicate,
    any_request,
    cut_in_chunks,
    cut_with_length,
    html,
    refusal,
    silent_for,
)

FLEET = load_fleet(Path(__file__).parent.parent / "fleet.yaml")
PATIENCE_SECONDS, IMPATIENCE_SECONDS = 30.0, 0.3
"""What the resource under test allows a request: the latter where no answer comes anyway, so that it costs little."""


@dataclass(frozen=True)
class PlannedFault:
    """`begin` makes the proxy misbehave. `advice` is a pattern of what people must then be told to do; none where the
    source can be read completely in spite of the fault. `patience_seconds` is what the client then allows a request."""

    name: str
    begin: Callable[[FaultProxy], None]
    advice: str | None
    patience_seconds: float = PATIENCE_SECONDS

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class WatchedTable:
    """An asset that reads the system under test, the source's name in the ledger, and what the server has for each
    window: the values of `columns`, a tuple for each row."""

    make_asset: Callable[[FleetConfig], dg.AssetsDefinition]
    table: Table
    source: str
    columns: Sequence[str]
    rows: Mapping[Window, Sequence[tuple[Any, ...]]]


@dataclass(frozen=True)
class Seen:
    """What is stored of a window, and what the check of the run says that has just read it."""

    health: SourceHealth
    rows: list[tuple[Any, ...]]
    check_passed: bool
    check_says: str


@dataclass(frozen=True)
class FaultCell:
    """An installation in `folder` that reaches the system under test through `proxy`.

    `make_source` gives the resource under test, that allows a request so many seconds; it stands at `key`.

    Of two windows that follow each other, `known` was read before the fault and `fresh` was not.
    """

    folder: Path
    proxy: FaultProxy
    key: str
    make_source: Callable[[float], object]
    known: Window
    fresh: Window
    tables: Sequence[WatchedTable]
    secrets: Sequence[str]

    def prepare(self) -> None:
        """Read the known window while all is well."""
        seen = self._read([self.known], PATIENCE_SECONDS)
        for watched in self.tables:
            self._check_good_reading(watched, self.known, seen[watched.table.name, self.known])

    def copied_to(self, folder: Path) -> FaultCell:
        return replace(self, folder=Path(shutil.copytree(self.folder, folder, dirs_exist_ok=True)))

    def run(self, fault: PlannedFault) -> None:
        with stamina.set_testing(True, attempts=3, cap=True):
            before = self._health()
            fault.begin(self.proxy)
            spoiled = self._read([self.known, self.fresh], fault.patience_seconds)
            self.proxy.heal()
            healed = self._read([self.known, self.fresh], PATIENCE_SECONDS)
        for watched in self.tables:
            name, earlier = watched.table.name, before[watched.source, self.known]
            if fault.advice is None:
                for window in (self.known, self.fresh):
                    self._check_good_reading(watched, window, spoiled[name, window])
            else:
                self._check_first_reading(watched, spoiled[name, self.fresh], fault.advice)
                self._check_later_reading(watched, spoiled[name, self.known], earlier, fault.advice)
            for window in (self.known, self.fresh):
                self._check_good_reading(watched, window, healed[name, window])
                assert healed[name, window].health.collected_at > earlier.collected_at

    def _check_first_reading(self, watched: WatchedTable, seen: Seen, advice: str) -> None:
        assert seen.health.status in (SourceStatus.UNAVAILABLE, SourceStatus.PARTIAL), seen
        assert set(seen.rows) <= set(watched.rows[self.fresh]), seen
        assert len(seen.rows) == seen.health.rows, seen
        self._check_advice(seen.health.reason, advice)
        assert not seen.check_passed
        assert seen.health.reason in seen.check_says, seen

    def _check_later_reading(self, watched: WatchedTable, seen: Seen, earlier: SourceHealth, advice: str) -> None:
        # The earlier reading stands, with the time at which it was made.
        assert seen.health == earlier
        assert seen.rows == sorted(watched.rows[self.known]), seen
        assert not seen.check_passed
        self._check_advice(seen.check_says, advice)

    @staticmethod
    def _check_good_reading(watched: WatchedTable, window: Window, seen: Seen) -> None:
        assert (seen.health.status, seen.health.reason) == (SourceStatus.COMPLETE, ""), seen
        assert seen.check_passed, seen
        assert seen.rows == sorted(watched.rows[window]), seen
        assert seen.health.rows == len(watched.rows[window]), seen

    @staticmethod
    def _check_advice(sentence: str, advice: str) -> None:
        assert re.search(advice, sentence), f"{sentence!r} does not say {advice!r}"
        assert sentence.endswith((".", ")")), sentence

    def _read(self, windows: Sequence[Window], patience_seconds: float) -> dict[tuple[str, Window], Seen]:
        """One run over the windows, and what is stored of them afterwards, by table and window."""
        lake = str(self.folder / "lake")
        resources = {
            self.key: self.make_source(patience_seconds),
            "lake": LakeResource(url=lake),
            "lake_io": LakeIOManager(Lake(lake), TABLES),
            "ledger": LedgerResource(url=self._ledger),
        }
        with dg.DagsterInstance.ephemeral() as instance:
            result = dg.materialize(
                [watched.make_asset(FLEET) for watched in self.tables],
                resources=resources,
                tags=range_tags(windows[0].key, windows[-1].key),
                instance=instance,
                run_config=QUIET,
                raise_on_error=False,
            )
        assert result.success, [event.message for event in result.all_events if event.is_failure]
        health = self._health()
        shown = str(result.all_events) + str(health)
        assert not [secret for secret in self.secrets if secret in shown], "A secret was shown."
        checks = {
            evaluation.asset_key.to_user_string(): evaluation
            for evaluation in result.get_asset_check_evaluations()
            if evaluation.check_name == SOURCE_COMPLETE
        }
        seen = {}
        for watched in self.tables:
            check = checks[watched.table.name]
            for window in windows:
                frame = Lake(lake).read(watched.table, window.start, window.end)[list(watched.columns)]
                rows = sorted(frame.astype(object).where(frame.notna(), "").itertuples(index=False, name=None))
                found = Seen(health[watched.source, window], rows, check.passed, check.description or "")
                seen[watched.table.name, window] = found
        return seen

    def _health(self) -> dict[tuple[str, Window], SourceHealth]:
        with closing(Ledger(self._ledger)) as book:
            return {
                (reading.source, window): reading
                for window in (self.known, self.fresh)
                for reading in book.health(window.start, window.end)
            }

    @property
    def _ledger(self) -> str:
        return f"sqlite:///{self.folder / 'ledger.db'}"


def faults_of_any_server(advice: Mapping[str, str], only: Predicate = any_request) -> list[PlannedFault]:
    """The faults that a server shows whatever it serves. `advice` is given by the names of the faults.

    `only` are the requests whose answers are cut off; the other faults concern all requests.
    """
    faults = {
        "401": refusal(401, "Invalid API key"),
        "404": refusal(404, "no Route matched with those values"),
        "429": refusal(429, "Too many requests"),
        "500": refusal(500, "Internal server error"),
        "html": html,
    }
    once = refusal(429, "Too many requests", **{"Retry-After": "0.5"})
    silence = silent_for(2 * IMPATIENCE_SECONDS)
    return [
        PlannedFault("down", FaultProxy.go_down, advice["down"]),
        PlannedFault("slow", lambda proxy: proxy.misbehave(silence), advice["slow"], IMPATIENCE_SECONDS),
        *(
            PlannedFault(name, lambda proxy, fault=fault: proxy.misbehave(fault), advice[name])
            for name, fault in faults.items()
        ),
        PlannedFault("one 429 with Retry-After", lambda proxy: proxy.misbehave(once, times=1), None),
        PlannedFault("cut", lambda proxy: proxy.misbehave(cut_with_length, only=only), advice["cut"]),
        PlannedFault("cut in chunks", lambda proxy: proxy.misbehave(cut_in_chunks, only=only), advice["cut"]),
    ]
