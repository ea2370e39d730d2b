"""Processes that print nothing: optimizers, LiteLLM and HTTP servers print a great deal, which nobody reads."""

from __future__ import annotations

import os
import sys


def silence() -> None:
    """Nothing that this process prints is shown from here on."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.dup2(nowhere, sys.stderr.fileno())
