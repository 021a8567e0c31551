"""Sensitive values are found, graded and replaced by keyed tokens."""
