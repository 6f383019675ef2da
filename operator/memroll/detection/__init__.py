"""From samples to a verdict for each container. Pure: time is an argument, and no client library is imported."""
