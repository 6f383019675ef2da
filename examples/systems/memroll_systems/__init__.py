"""Four services that leak as real ones do, each with its harmless twin. See docs/systems.md."""
