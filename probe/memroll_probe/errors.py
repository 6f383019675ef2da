"""Error of skipped work; its message goes into the report."""


class ResourceLimitError(Exception):
    """Work that was skipped: it exceeds the available time or memory, or a feature it needs is off. Has the reason."""
