"""Flow server whose component cache outlives the flows."""
