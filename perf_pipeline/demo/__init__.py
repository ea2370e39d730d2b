"""The embedded default's story: a simulated fleet with a scripted incident. Nothing in production imports it."""
