"""Incidents of simulated agents whose causes are known: explanations are measured with them, and analysts taught."""
