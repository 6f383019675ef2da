"""One PodRoll: its state machine, its strategies, and what is checked around them."""
