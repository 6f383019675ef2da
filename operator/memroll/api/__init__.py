"""The two kinds, their words and their schemas: frozen pydantic models, camelCase on the wire."""

GROUP = "memroll.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
