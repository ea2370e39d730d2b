"""Optimization runs of the demo fleet's agents: what they gain and cost, and what failures do to them."""
