"""The other side of `metric_functions`: gets tasks once, and then calls functions on them, until nobody asks any more.

Standard input: the length (8 bytes) and the content of an Arrow stream, then a JSON object a line. Each is answered by
one on standard output, as the first: that it is ready.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, BinaryIO

import pandas as pd
import pyarrow

from perf_pipeline.tables import AGENT_TASKS
from resources.metric_value import MetricError, number_of
from resources.task_sql import GROUP

MAX_REASON = 300


def main() -> None:
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # What a function prints must not be taken for an answer.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    questions = sys.stdin.buffer
    groups = _groups(questions)
    _reply(answers, {})
    for line in questions:
        question = json.loads(line)
        _reply(answers, answer(question["function"], question["groups"], groups))


def answer(function: str, wanted: Sequence[int], groups: Mapping[int, pd.DataFrame]) -> dict[str, Any]:
    """`values` and `errors` as pairs with the number of a group, or one `error` for all."""
    try:
        call = _imported(function)
    except Exception as error:  # noqa: BLE001 (a user's module may raise anything)
        return {"error": f"{function} cannot be imported ({_told(error)}): correct it in fleet.yaml."}
    values, errors = [], []
    for group in wanted:
        try:
            # A copy, so that a function that changes its tasks does not change those of the next one.
            values.append((group, number_of(call(groups[group].copy()))))
        except MetricError as error:
            errors.append((group, str(error)))
        except Exception as error:  # noqa: BLE001
            errors.append((group, f"It raised {_told(error)}."))
    return {"values": values, "errors": errors}


def _imported(path: str) -> Callable[[pd.DataFrame], object]:
    module, _, name = path.partition(":")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    if not callable(found):
        raise TypeError("it is not a function")
    return found


def _told(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].rstrip('.')[:MAX_REASON]}" if lines else type(error).__name__


def _groups(source: BinaryIO) -> dict[int, pd.DataFrame]:
    length = int.from_bytes(source.read(8), "big")
    frame = pyarrow.ipc.open_stream(source.read(length)).read_all().to_pandas()
    tasks = AGENT_TASKS.conform(frame)
    return {int(group): tasks.loc[rows].reset_index(drop=True) for group, rows in frame.groupby(GROUP).groups.items()}  # pyright: ignore[reportArgumentType]


def _reply(answers: BinaryIO, content: Mapping[str, Any]) -> None:
    answers.write(json.dumps(content).encode() + b"\n")
    answers.flush()


def _end_with(parent: int) -> None:
    """A function that never returns must not outlive whoever asked for it."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
