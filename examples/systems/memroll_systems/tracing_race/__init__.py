"""Flow runs that are traced by a service: with one state for all of them, or one for each."""
