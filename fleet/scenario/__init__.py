"""Scenario files: what they may say, how they are read, and whether a report meets their expectations."""
