"""Raw lines become ECS documents: one log format a file, and what all of them share (text, times, numbers, datasets)."""
