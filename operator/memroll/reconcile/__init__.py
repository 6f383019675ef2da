"""The two pages to read first: one pass over a policy, one step of a roll."""
