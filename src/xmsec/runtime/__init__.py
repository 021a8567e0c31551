"""What drives the road: one process, or Faust."""
