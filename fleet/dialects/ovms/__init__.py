"""The dialect of the Open Vehicle Monitoring System, version 3: a mapping of metrics and events, and the shell of its module."""
