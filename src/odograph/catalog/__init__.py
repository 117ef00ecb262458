"""The rules of the catalogue: who may be called what, and what a change must keep true."""
