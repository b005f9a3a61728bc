"""Finder: where is my car, how far was it driven, does it need fuel. A small back end for connected cars."""
