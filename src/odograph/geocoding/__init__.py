"""Places by position, without a network."""
