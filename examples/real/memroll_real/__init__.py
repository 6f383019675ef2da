"""Visits of the load to the real systems: VISITS=memroll_real.langflow or memroll_real.chatchat."""
