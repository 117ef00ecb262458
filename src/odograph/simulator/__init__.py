"""Devices as software: recordings replayed, and a fleet that never was."""
