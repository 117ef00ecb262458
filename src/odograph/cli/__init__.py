"""The commands: thin clients of the same API that everybody uses, and the server's own start."""

from odograph.cli.program import main

__all__ = ["main"]
