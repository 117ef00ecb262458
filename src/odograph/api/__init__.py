"""The Samsara-compatible surface, and our documented extensions of it."""
