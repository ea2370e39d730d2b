"""Examples divided into three parts: to train on, to validate on while searching, and held out for the gate.

What an earlier training or gate has seen is never held out, and no group is divided: else a program would be tested on
what it was made from.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from perf_pipeline.optimization.near_duplicates import content_digest
from perf_pipeline.records import LabelledExample

Group = tuple[LabelledExample, ...]

LEAST_GROUPS = 2
"""Training and validation need one each."""


@dataclass(frozen=True)
class SplitPolicy:
    """`holdout_share` is of all examples, `validation_share` of those that are not held out. `min_training` counts
    training and validation together."""

    min_holdout: int = 20
    min_training: int = 10
    holdout_share: float = 0.4
    validation_share: float = 0.3


@dataclass(frozen=True)
class Split:
    train: tuple[LabelledExample, ...]
    validation: tuple[LabelledExample, ...]
    holdout: tuple[LabelledExample, ...]

    @property
    def all(self) -> tuple[LabelledExample, ...]:
        return (*self.train, *self.validation, *self.holdout)

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits, the same for the same inputs and right answers in the same parts."""
        parts = [sorted(map(_content, part)) for part in (self.train, self.validation, self.holdout)]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class NotEnough:
    """`reason` is a sentence; `more_needed` counts new labelled tasks that are no near-duplicates."""

    reason: str
    more_needed: int


def split_examples(
    examples: Sequence[LabelledExample], seen: Collection[str], salt: str, policy: SplitPolicy
) -> Split | NotEnough:
    """`seen` are the content digests of what an earlier training or gate has seen. The order of the examples does not
    matter; another `salt` divides them otherwise."""
    groups = _groups(examples)
    fresh = {name: group for name, group in groups.items() if not any(content_digest(one) in seen for one in group)}
    held_out = _held_out(groups, fresh, salt, policy)
    rest = {name: group for name, group in groups.items() if name not in held_out}
    if _count(held_out.values()) < policy.min_holdout:
        return _not_enough(groups, fresh, held_out, policy)
    validation = _validation(rest, salt, policy)
    train = [group for name, group in rest.items() if name not in validation]
    return Split(_part(train), _part(validation.values()), _part(held_out.values()))


def _groups(examples: Sequence[LabelledExample]) -> dict[str, Group]:
    """By name. An example that is in no group is one of its own, with what has equal inputs."""
    members: dict[str, list[LabelledExample]] = defaultdict(list)
    for example in examples:
        members[example.group or content_digest(example)].append(example)
    return {name: tuple(group) for name, group in members.items()}


def _held_out(groups: dict[str, Group], fresh: dict[str, Group], salt: str, policy: SplitPolicy) -> dict[str, Group]:
    """Fresh groups in the order of their hashes until there are enough. One that would leave too little to train on is
    passed over."""
    total = _count(groups.values())
    wanted = max(policy.min_holdout, round(policy.holdout_share * total))
    held_out: dict[str, Group] = {}
    items = 0
    for name in _shuffled(fresh, salt):
        if items >= wanted:
            break
        leaves = total - items - len(fresh[name])
        if leaves >= policy.min_training and len(groups) - len(held_out) - 1 >= LEAST_GROUPS:
            held_out[name] = fresh[name]
            items += len(fresh[name])
    return held_out


def _validation(rest: dict[str, Group], salt: str, policy: SplitPolicy) -> dict[str, Group]:
    """Groups in the order of other hashes, as far as they fit into the share; the smallest where none fits."""
    order = _shuffled(rest, f"{salt}|validation")
    room = round(policy.validation_share * _count(rest.values()))
    validation: dict[str, Group] = {}
    for name in order:
        if len(rest[name]) <= room:
            validation[name] = rest[name]
            room -= len(rest[name])
    if not validation:
        smallest = min(order, key=lambda name: len(rest[name]))
        validation[smallest] = rest[smallest]
    return validation


def _not_enough(
    groups: dict[str, Group], fresh: dict[str, Group], held_out: dict[str, Group], policy: SplitPolicy
) -> NotEnough:
    total, new, found = (_count(some.values()) for some in (groups, fresh, held_out))
    for_parts = max(LEAST_GROUPS - (len(groups) - len(held_out)), 0)
    more = max(policy.min_holdout - found + for_parts, policy.min_holdout + policy.min_training - total)
    tasks = "labelled task is" if more == 1 else "labelled tasks are"
    reason = (
        f"{total} labelled {'task' if total == 1 else 'tasks'}, {new} of them new to the gate: {more} more new {tasks} "
        f"needed ({policy.min_holdout} for the gate, at least {policy.min_training} for training)."
    )
    if found < min(new, total - policy.min_training):
        largest = max(len(group) for group in groups.values())
        reason += (
            f" Near-duplicates and tasks of one session are not divided, and {largest} tasks belong together so: new "
            "ones must be of other kinds and sessions."
        )
    return NotEnough(reason, more)


def _part(groups: Iterable[Group]) -> tuple[LabelledExample, ...]:
    members = [example for group in groups for example in group]
    return tuple(sorted(members, key=lambda example: (content_digest(example), example.id)))


def _count(groups: Iterable[Group]) -> int:
    return sum(len(group) for group in groups)


def _shuffled(names: Iterable[str], salt: str) -> list[str]:
    return sorted(names, key=lambda name: hashlib.sha256(f"{salt}|{name}".encode()).hexdigest())


def _content(example: LabelledExample) -> str:
    # Once through JSON, in which the dataset of a run is kept: there keys are text, and tuples are lists.
    content = json.loads(json.dumps([dict(example.inputs), dict(example.expected)], default=str))
    return json.dumps(content, sort_keys=True)
