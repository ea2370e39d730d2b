"""Everything that talks to the outside: one module per external system, and the two stores of our own.

What belongs here: wire formats, paging, retries, authentication, storage layout.
What does not: thresholds, metrics, or any decision about an agent.
"""
