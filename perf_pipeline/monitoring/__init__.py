"""From telemetry to incidents, as functions from data to data.

What belongs here: windows, tasks, metrics, baselines, detection, causes. What does not: Dagster, clients, clocks.
"""
