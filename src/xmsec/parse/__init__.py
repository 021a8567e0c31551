"""Raw lines become ECS documents; one format a file."""
