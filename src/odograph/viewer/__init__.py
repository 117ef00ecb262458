"""What the public sees without a token: link pages, their streams, the map under them."""
