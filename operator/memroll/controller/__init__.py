"""Controllers: the watch, the work queues, and what a reconcile leads to: status, Events, metrics and the next one."""
