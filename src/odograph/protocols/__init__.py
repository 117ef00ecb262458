"""Bytes to reports and back, without a socket."""
