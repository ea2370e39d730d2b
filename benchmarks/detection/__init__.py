"""The benchmark of detection: a fleet with known incidents, what its data hold, rivals, a limit, and the scoring.

Seeds 0-99 are for tuning. Seeds from 1000 on are for evaluation, and nothing may be chosen by looking at them.
"""
