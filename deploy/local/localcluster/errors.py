"""What can go wrong, in words for the person at the terminal."""


class ClusterError(Exception):
    """Something is in the way: what it is and, in one line, what to do about it."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message}; {self.remedy}" if self.remedy else message


class CommandFailed(ClusterError):  # noqa: N818  # reads as what happened, like the standard library's own
    """A program that was run ended badly."""
