"""Bytes with positions; the only readers."""
