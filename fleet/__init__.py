"""A fleet of CUPRA CONNECT cars that live, publish and obey over MQTT."""

__version__ = "0.1.0"
