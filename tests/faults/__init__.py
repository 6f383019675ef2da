"""The operator as a real process, with faults between it and the real cluster. `python -m tests.faults` runs all."""
