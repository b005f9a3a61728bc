"""Performs what `cloud` decides: consumer, store, S-PIN worker. The only writer of the store."""
