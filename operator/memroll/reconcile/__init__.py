"""Reconcilers: one run over one MemoryPolicy, and one step of one PodRoll. Start reading at `policy` and `roll`."""
