"""What the console costs with very many findings behind it."""
