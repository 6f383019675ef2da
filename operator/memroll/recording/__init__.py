"""What happened, as status, events and metrics. Pure: it reads outcomes and builds values."""
