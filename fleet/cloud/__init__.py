"""What the back end decides, as pure state machines: the newest state of a car, the command desk. Performs nothing."""
