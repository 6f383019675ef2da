"""Chat server whose conversations never end."""
