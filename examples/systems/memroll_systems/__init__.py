"""Four services that leak like real ones, each with a twin that does not leak. See docs/systems.md."""
