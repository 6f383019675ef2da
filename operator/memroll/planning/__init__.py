"""Which pods to roll now, and which gate blocks the others. Pure."""
