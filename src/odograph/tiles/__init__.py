"""Map tiles in PMTiles archives: our own world, and the street extracts that an operator added."""
