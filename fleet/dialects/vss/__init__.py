"""The dialect of COVESA: a status by VSS path, and VISS over MQTT for whoever asks a car by itself."""
