"""The agreement between car and cloud: messages, topics, dialect. It knows neither sender nor transport."""
