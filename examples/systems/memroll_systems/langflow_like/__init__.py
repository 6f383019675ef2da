"""A flow server whose component cache outlives the flows."""
