"""The HTTP service under load, on a fleet far larger than most."""
