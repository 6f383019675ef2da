"""Agent server: runs that call tools concurrently, and a bus for their progress."""
