"""Leak report: MemoryPolicies and PodRolls in; a table, JSON or an HTML page out. Pure; called by `memroll report`."""
