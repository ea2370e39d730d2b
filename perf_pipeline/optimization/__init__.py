"""Which agent to optimize, when and at what cost, as functions from data to data.

What belongs here: policies and guards. What does not: DSPy, Dagster, clients, clocks.
"""
