"""Semantic bugs, planted one at a time in a copy of fleet, to see whether a run and `fleet verify` catch them: `make mutants`."""
