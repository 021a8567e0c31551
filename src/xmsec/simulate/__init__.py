"""Simulated systems with their truth; knows no detector."""
