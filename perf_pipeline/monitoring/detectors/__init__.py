"""The detection engine: what each agent is expected to do, and how strong the evidence is that it no longer does.

Everything here works on arrays with one entry per agent, so a fleet of ten thousand costs little more than one of
seven. `engine` joins the parts; `docs/detection.md` states the statistics and what an alarm means.
"""
