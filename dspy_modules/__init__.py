"""Everything that imports DSPy. Knows nothing of Dagster."""
