"""Figures about speed and memory, printed as a table and, in the last line, as one JSON object."""
