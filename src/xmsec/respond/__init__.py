"""Playbooks: rehearsed, approved, recorded."""
