"""One command a file; the only reader of the environment."""
