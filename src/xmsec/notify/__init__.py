"""Findings out: to people in words, to machines in their formats."""
