"""What is measured: scenarios, listed in `registry.py`; each starts servers of its own and ends them."""
