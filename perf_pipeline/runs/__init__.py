"""Optimization runs at the edge: where rules, DSPy, the lake and the ledger meet.

What belongs here: the order of steps, and what happens when one fails. What does not: Dagster, and decisions.
"""
