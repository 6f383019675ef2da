"""Evidence of a pod, captured before it is rolled: bounded, sanitized and redacted."""
