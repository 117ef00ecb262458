"""`odograph bench`: what the server does on this machine, beside what the disk and SQLite do in the same run."""
