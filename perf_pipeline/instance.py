"""DAGSTER_HOME of an installation: a folder with the template's dagster.yaml."""

from __future__ import annotations

import shutil
from pathlib import Path

TEMPLATE = Path(__file__).parent.parent / "dagster.yaml"


def prepare_instance(home: Path) -> Path:
    """The folder to use as DAGSTER_HOME. An existing dagster.yaml in it is left as it is."""
    folder = home / "dagster"
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "dagster.yaml"
    if not config.exists():
        shutil.copyfile(TEMPLATE, config)
    return folder
