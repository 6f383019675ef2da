"""Fuzzing of the readers: of everything that memroll decodes and a tenant can write (`make fuzz`)."""
