"""Plan of a reconcile: pods to roll now, and the gate that blocks each of the others. Pure."""
