"""`python -m perf_pipeline`, the same as the command `perf-pipeline`."""

from perf_pipeline.cli import app

app()
