"""The two kinds, MemoryPolicy and PodRoll, and their schemas: frozen pydantic models, camelCase in JSON."""

GROUP = "memroll.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
POLICY_PLURAL = "memorypolicies"
"""Plural name of MemoryPolicy in URLs of the API server."""
ROLL_PLURAL = "podrolls"
"""Plural name of PodRoll in URLs of the API server."""
