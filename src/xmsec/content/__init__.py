"""What to watch is content: YAML and JSON with tests inside, read into typed records, all problems at once."""
