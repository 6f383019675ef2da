"""Errors of the driver, with messages for the person at the terminal."""


class ClusterError(Exception):
    """Error with a remedy: the message names the obstacle, and the remedy is one line."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message}; {self.remedy}" if self.remedy else message


class CommandFailedError(ClusterError):
    """A program could not be run, or ended with an error code."""
