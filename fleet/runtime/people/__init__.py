"""Simulated people: who uses the cars of a scenario or test, what they know, and what they do step by step."""
