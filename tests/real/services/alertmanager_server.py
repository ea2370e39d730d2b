"""Starts and stops Prometheus Alertmanager, from Debian's package prometheus-alertmanager."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.real.services.free_port import free_port

BINARY = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
READY_WITHIN_SECONDS = 30


@contextmanager
def running_alertmanager(folder: Path, webhook: str) -> Iterator[str]:
    """The address of an Alertmanager that passes alerts on to `webhook` at once, firing and resolved."""
    assert BINARY is not None
    config = {
        "route": {
            "receiver": "people",
            "group_by": ["..."],
            "group_wait": "0s",
            "group_interval": "1s",
            "repeat_interval": "1h",
        },
        "receivers": [{"name": "people", "webhook_configs": [{"url": webhook, "send_resolved": True}]}],
    }
    # YAML takes JSON as it is.
    (folder / "alertmanager.yml").write_text(json.dumps(config))
    address = f"127.0.0.1:{free_port()}"
    command = [BINARY, f"--config.file={folder / 'alertmanager.yml'}", f"--storage.path={folder / 'data'}"]
    # Without a cluster address it stays alone, and listens nowhere else.
    command += [f"--web.listen-address={address}", "--cluster.listen-address="]
    with (folder / "alertmanager.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            _wait_until_ready(process, f"http://{address}/-/ready", folder / "alertmanager.log")
            yield f"http://{address}"
        finally:
            process.terminate()
            process.wait(10)


def _wait_until_ready(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(address).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise RuntimeError(f"Alertmanager did not start: {log.read_text()[-2000:]}")
