"""Moves frames between a program and a broker. Knows MQTT, but no car, no desk and no scenario."""
