"""memroll keeps leaking services alive: it replaces pods before the kernel kills them."""

__version__ = "0.1.0"
