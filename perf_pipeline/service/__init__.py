"""The HTTP service: what people do from Slack. An edge: it knows the ledger and the rules, and nothing knows it."""
