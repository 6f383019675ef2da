"""Why something was left out, in words for the report."""


class NotNowError(Exception):
    """It would cost more than there is, or what it needs is off; the message says what."""
