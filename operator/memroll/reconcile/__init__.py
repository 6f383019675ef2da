"""One run over one object: gather, assess, plan, record."""
