"""Dialects of other systems."""
