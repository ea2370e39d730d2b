"""The autonomous performance engineer for a fleet of LLM agents, as a Dagster project."""
