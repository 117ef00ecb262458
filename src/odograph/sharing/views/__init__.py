"""What each kind of link shows: one file a kind, composed from the catalogue and traces."""
