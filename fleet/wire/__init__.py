"""What car and cloud agree on: messages, topics, codec. Not who sends, and not how."""
