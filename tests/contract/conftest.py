"""What the suites of this folder share."""

from tests.support.stores import place, store

__all__ = ["place", "store"]
