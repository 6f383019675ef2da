"""Flow server with a tracing service: one state for all runs, or one per run."""
