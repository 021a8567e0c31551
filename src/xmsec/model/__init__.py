"""The nouns of the platform, their identities, and the seams between its rooms."""
