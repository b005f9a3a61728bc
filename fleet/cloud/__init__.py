"""Decisions of the back end as pure state machines: the newest state of a car, the command desk. Performs nothing."""
