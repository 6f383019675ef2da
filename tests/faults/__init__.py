"""Fault injection: the operator as a separate process, with faults between it and the real cluster."""
