"""Replay of a policy over recorded history: when a leak would have been suspected and confirmed, and the pod rolled."""
