"""Dialects of other systems: mapping files, those that are shipped, and what is written in Python. Pure; `runtime` chooses."""
