"""Depot: which rental car is where, locked, and ready. A small back end with a protocol of its own; it knows nothing of fleet."""
