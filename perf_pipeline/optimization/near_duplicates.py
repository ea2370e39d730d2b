"""Which examples are so alike that one gives the other away: they are trained on together, or held out together."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

from perf_pipeline.records import LabelledExample, LabelOrigin

NEAR = 0.8
COMMON_SHARE = 0.05
"""A shingle is common where more than this share of the examples have it."""
BLOCK = 256
"""So many examples are compared with all others at a time."""

Indices = NDArray[np.int64]

_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")
"""Words; of scripts that leave no space between them, characters."""

_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_BY_TRUST = (
    LabelOrigin.CORRECTION,
    LabelOrigin.FILE,
    LabelOrigin.ANNOTATION,
    LabelOrigin.OUTCOME,
    LabelOrigin.JUDGE,
)


@dataclass(frozen=True)
class Deduplicated:
    """One example for each input. `conflicts` counts the inputs that equally good examples answer differently."""

    examples: tuple[LabelledExample, ...]
    conflicts: int


def content_digest(example: LabelledExample) -> str:
    """16 hexadecimal digits of the inputs, the same where these differ in case and spaces only."""
    return hashlib.sha256(_canonical(example.inputs).encode()).hexdigest()[:16]


def deduplicated(examples: Sequence[LabelledExample]) -> Deduplicated:
    """Of equal inputs the example whose origin is trusted most, of these the newest. They keep their order."""
    alike: dict[str, list[int]] = defaultdict(list)
    for index, example in enumerate(examples):
        alike[content_digest(example)].append(index)
    kept: list[int] = []
    conflicts = 0
    for indices in alike.values():
        best = min(_BY_TRUST.index(examples[index].origin) for index in indices)
        rivals = [index for index in indices if _BY_TRUST.index(examples[index].origin) == best]
        kept.append(max(rivals, key=lambda index: (examples[index].start_time or _LONG_AGO, examples[index].id)))
        conflicts += len({_canonical(examples[index].expected) for index in rivals}) > 1
    return Deduplicated(tuple(examples[index] for index in sorted(kept)), conflicts)


def grouped(examples: Sequence[LabelledExample], threshold: float = NEAR) -> list[LabelledExample]:
    """The examples with their `group`: those of one session, and those whose inputs are equal or near-duplicates, in
    one with all that these belong to.

    Near-duplicates have at least the share `threshold` of their words and pairs of words in common. A group is named
    after the smallest content digest in it, so other examples do not change its name.
    """
    if not examples:
        return []
    digests = [content_digest(example) for example in examples]
    first: dict[tuple[str, str], int] = {}
    joined = [(index, first.setdefault(("digest", digest), index)) for index, digest in enumerate(digests)]
    joined += [
        (index, first.setdefault(("session", example.session_id), index))
        for index, example in enumerate(examples)
        if example.session_id
    ]
    component = _joined(np.arange(len(examples)), np.array(joined))
    for pairs in _near(examples, threshold):
        component = _joined(component, pairs)
    name: dict[int, str] = {}
    for digest, index in zip(digests, component, strict=True):
        name[index] = min(digest, name.get(index, digest))
    return [replace(example, group=name[index]) for example, index in zip(examples, component, strict=True)]


def _joined(component: Indices, pairs: Indices) -> Indices:
    """(items,) the first item of each item's component, after those in `pairs` (pairs, 2) are joined.

    Components that are known are passed on as one link an item, so that no list of all pairs is ever held.
    """
    size = len(component)
    ones = np.concatenate([np.arange(size), pairs[:, 0]])
    others = np.concatenate([component, pairs[:, 1]])
    graph = sparse.coo_array((np.ones(len(ones), dtype=bool), (ones, others)), shape=(size, size))
    _, label = csgraph.connected_components(graph, directed=False)
    _, first = np.unique(label, return_index=True)
    return first[label]


def _near(examples: Sequence[LabelledExample], threshold: float) -> Iterator[Indices]:
    """(pairs, 2) of examples whose shingles have a Jaccard index of at least `threshold`, block after block.

    What two examples share is a product of matrices: of the common shingles, which most pairs share, a dense one, and
    of the rare ones, which few do, a sparse one. Either alone is slow, on long texts or on those from a template.
    """
    incidence = _incidence([_shingles(example.inputs) for example in examples])
    sizes = incidence.sum(axis=1)
    is_common = incidence.sum(axis=0) > COMMON_SHARE * len(examples)
    common = incidence[:, is_common].toarray()
    rare = incidence[:, ~is_common]
    for start in range(0, len(examples), BLOCK):
        block = slice(start, start + BLOCK)
        shared = common[block] @ common.T + (rare[block] @ rare.T).toarray()
        either = sizes[block, None] + sizes[None, :] - shared
        # Texts without words are near nothing. The hair's breadth lets 4 of 5 count as 0.8.
        row, column = np.nonzero((shared > 0) & (shared >= threshold * either - 1e-4))
        yield np.column_stack([row + start, column])


def _incidence(shingles: Sequence[frozenset[str]]) -> sparse.csr_array:
    """(examples, shingles) of ones, in single precision, which counts exactly up to 16 million."""
    number: dict[str, int] = {}
    columns = [number.setdefault(shingle, len(number)) for words in shingles for shingle in words]
    ends = np.cumsum([0, *(len(words) for words in shingles)])
    ones = np.ones(len(columns), dtype=np.float32)
    return sparse.csr_array((ones, np.array(columns, dtype=np.int64), ends), shape=(len(shingles), len(number)))


def _shingles(inputs: Mapping[str, Any]) -> frozenset[str]:
    """The words of the inputs, and each two that follow one another."""
    words = [word for text in _texts(_normalised(inputs)) for word in _WORD.findall(text)]
    pairs = [f"{one} {other}" for one, other in pairwise(words)]
    return frozenset(words + pairs)


def _texts(value: Any) -> Iterator[str]:
    """The values in what `_normalised` gives, in the order of their fields' names."""
    if isinstance(value, dict):
        for name in sorted(value):
            yield from _texts(value[name])
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif value is not None:
        yield str(value)


def _canonical(content: Mapping[str, Any]) -> str:
    return json.dumps(_normalised(content), sort_keys=True, ensure_ascii=False)


def _normalised(value: Any) -> Any:
    """As JSON, with text in one case and one Unicode form, and single spaces."""
    if isinstance(value, Mapping):
        return {str(name): _normalised(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_normalised(item) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return " ".join(unicodedata.normalize("NFKC", str(value)).casefold().split())
