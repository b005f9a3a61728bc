"""Tests against programs of others, which run where they are installed."""
