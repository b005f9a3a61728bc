"""A car as a pure state machine: driver, drive, energy, body, climate, telematics. Knows no cloud, no broker, no clock."""
