"""The embedded demo: a simulated fleet and its scripted story. Nothing here is loaded with the definitions."""
