"""The words: frozen values, no input or output."""
