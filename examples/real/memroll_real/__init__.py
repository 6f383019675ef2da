"""What the load does at the real systems: VISITS=memroll_real.langflow or memroll_real.chatchat."""
