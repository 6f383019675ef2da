"""What is captured of a pod before it is rolled: bounded, sanitized and redacted."""
