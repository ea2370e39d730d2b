"""The dashboard: pages about the fleet, rendered on the server. An edge: `pages` reads the lake and the ledger, one
module a page turns what was read into what is shown, and `templates` says how it looks."""
