"""approvals: people are asked about optimizations, their reactions are taken as answers, what is late ends."""

from datetime import UTC, datetime

import dagster as dg

from perf_pipeline.approvals import ask_for_approvals, expire_approvals, take_reactions
from perf_pipeline.fleet import FleetConfig
from perf_pipeline.messengers import messenger_keys, messengers_of


def utc_now() -> datetime:
    return datetime.now(UTC)


def approvals_sensor(fleet: FleetConfig) -> dg.SensorDefinition:
    @dg.sensor(
        name="approvals",
        minimum_interval_seconds=15,
        required_resource_keys={"ledger"} | messenger_keys(fleet),
        description="Asks for approvals, takes ✅ and ❌ of listed approvers as answers, and ends what is late.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        now = utc_now()
        with context.resources.ledger.open() as book:
            asked = ask_for_approvals(book, fleet, now)
            ended = expire_approvals(book, fleet, now)
            answered, problems = take_reactions(book, fleet, messengers_of(context.resources, fleet), utc_now)
        done = {"Asked": asked, "Expired": ended, "Answered by a reaction": answered}
        said = [f"{what} for {', '.join(agents)}." for what, agents in done.items() if agents]
        return dg.SkipReason(" ".join([*said, *problems]) or "Nothing to ask, to answer or to end.")

    return sensor
