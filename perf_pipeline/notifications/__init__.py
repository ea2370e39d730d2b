"""What people are told, and which of it was already said, as functions from data to data.

What belongs here: texts, layouts, rules of the outbox. What does not: Slack's wire, Dagster, clocks.
"""
