"""For every test: no deadlines. How long a made-up case takes says something of the machine, not of the code."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("odograph")
settings.load_profile("odograph")
