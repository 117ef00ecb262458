"""Durable truth: the log of fixes and the catalogue, behind one port."""
