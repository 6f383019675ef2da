"""One PodRoll: its state machine and strategies, the actions on the cluster, and the checks around them."""
