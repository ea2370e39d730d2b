"""Functions of tasks that a team might write, good and bad ones. They are called in a process of their own."""

from __future__ import annotations

import os
import sys
import time

import pandas as pd


def failed_share(tasks: pd.DataFrame) -> float:
    return 100.0 * float((~tasks["ok"]).mean())


def mean_tokens(tasks: pd.DataFrame) -> float | None:
    known = tasks["completion_tokens"].dropna()
    return float(known.mean()) if len(known) else None


def prints(tasks: pd.DataFrame) -> int:
    print('{"values": [[0, 666]]}')
    sys.stdout.flush()
    return len(tasks)


def changes_its_tasks(tasks: pd.DataFrame) -> int:
    tasks["ok"] = False
    return int(tasks["tool_calls"].sum())


def raises(tasks: pd.DataFrame) -> float:
    raise KeyError(f"no column retries in {len(tasks)} tasks")


def raises_for_audit(tasks: pd.DataFrame) -> int:
    if (tasks["agent"] == "AuditAgent").any():
        raise ValueError("not of AuditAgent")
    return len(tasks)


def gives_text(_tasks: pd.DataFrame) -> str:
    return "many"


def gives_truth(_tasks: pd.DataFrame) -> bool:
    return True


def gives_nan(_tasks: pd.DataFrame) -> float:
    return float("nan")


def never_ends(_tasks: pd.DataFrame) -> float:
    time.sleep(600)
    return 0.0


def ends_its_process(_tasks: pd.DataFrame) -> float:
    os._exit(3)


NO_FUNCTION = 3
