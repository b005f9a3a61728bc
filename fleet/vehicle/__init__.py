"""A car as a pure state machine: driver, drive, energy, body, climate, outbox. Knows no cloud, no broker, no clock."""
