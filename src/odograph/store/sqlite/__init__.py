"""The embedded engine: one SQLite log, sealed day files, one writer process."""
