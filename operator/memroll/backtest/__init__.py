"""A policy over recorded history: when it would have told, and when it would have acted."""
