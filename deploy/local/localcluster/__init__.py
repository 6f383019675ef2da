"""Driver of a real one-node Kubernetes cluster on this machine, for the demo and the end-to-end tests."""
