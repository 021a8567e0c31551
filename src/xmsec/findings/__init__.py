"""Findings become incidents."""
