"""Asking language models about what was computed, within a budget and a deadline; rules word what they do not."""
