"""Time, chance and the shape of a state machine. Pure: knows no clock, no socket, no file."""
