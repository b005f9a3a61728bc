"""The dialect of Home Assistant's MQTT integration: a car announces itself there as a device, and is commanded from there."""
