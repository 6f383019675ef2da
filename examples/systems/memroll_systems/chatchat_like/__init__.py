"""A chat server whose conversations never end."""
