"""Scenario files: schema, loader with exact error places, expectations. Text and a seed in, cars and loads out."""
