"""Memory that follows the log; always rebuildable from it."""
