"""An agent server: runs that call tools concurrently, and a bus that tells others how far they are."""
