"""Odograph: where every vehicle of a fleet is, was, and will arrive."""
