"""Watch, work queue and controllers: when a reconcile runs, and what its result leads to."""
