"""Python functions of tasks, called in a process of their own: it can be stopped, and its end ends nothing else."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Collection
from contextlib import suppress
from types import TracebackType
from typing import Any

import pandas as pd

from resources.metric_value import MetricError

SECONDS_TO_START = 60.0
START = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from resources.metric_worker import main; main()"


class MetricFunctions:
    """`tasks` has the columns of `tables.AGENT_TASKS` and `task_sql.GROUP` (int).

    The process starts with the first call, and anew after one that had to be stopped. It has the environment and the
    import path of this one.
    """

    def __init__(self, tasks: pd.DataFrame) -> None:
        self._tasks = tasks
        self._process: subprocess.Popen[bytes] | None = None
        self._answers: queue.Queue[bytes] = queue.Queue()

    def __enter__(self) -> MetricFunctions:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop()

    def values(self, function: str, groups: Collection[int], seconds: float) -> dict[int, float | MetricError | None]:
        """What `module:name` gives for each group of tasks, or why there is no value.

        Raises MetricError where it cannot be imported, takes longer than `seconds` for all groups together, or ends
        its process.
        """
        try:
            process = self._process or self._start()
            assert process.stdin is not None
            process.stdin.write(json.dumps({"function": function, "groups": sorted(groups)}).encode() + b"\n")
            process.stdin.flush()
            answer = self._answer(seconds)
        except BrokenPipeError as error:
            self._stop()
            raise MetricError("The process that it ran in ended by itself.") from error
        if "error" in answer:
            raise MetricError(answer["error"])
        found: dict[int, float | MetricError | None] = dict(map(tuple, answer["values"]))
        return found | {int(group): MetricError(reason) for group, reason in answer["errors"]}

    def _start(self) -> subprocess.Popen[bytes]:
        import pyarrow

        sink = pyarrow.BufferOutputStream()
        table = pyarrow.Table.from_pandas(self._tasks, preserve_index=False)
        with pyarrow.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        content = sink.getvalue().to_pybytes()
        process = subprocess.Popen(
            [sys.executable, "-c", START, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._process, self._answers = process, queue.Queue()
        threading.Thread(target=_listen, args=(process, self._answers), daemon=True).start()
        assert process.stdin is not None
        process.stdin.write(len(content).to_bytes(8, "big") + content)
        process.stdin.flush()
        self._answer(SECONDS_TO_START)
        return process

    def _answer(self, seconds: float) -> dict[str, Any]:
        try:
            line = self._answers.get(timeout=seconds)
        except queue.Empty as error:
            self._stop()
            raise MetricError(f"It took longer than {seconds:g} seconds, and was stopped.") from error
        if not line:
            self._stop()
            raise MetricError("The process that it ran in ended by itself.")
        return json.loads(line)

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        # What it started goes with it: the process leads a group of its own.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()
        process.wait()


def _listen(process: subprocess.Popen[bytes], answers: queue.Queue[bytes]) -> None:
    """Pass on the process's lines; an empty one says that it has ended."""
    assert process.stdout is not None
    try:
        for line in process.stdout:
            answers.put(line)
    except ValueError:
        # The pipe was closed while it was being read: the process was stopped.
        return
    answers.put(b"")
