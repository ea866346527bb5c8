"""The exception that stands for a user's mistake in this room."""


class DetectionError(Exception):
    """Bad input from outside: its message is one line that says what, where and what to do.

    Command lines print the message and exit 1. Any other exception is a defect and keeps its traceback.
    """
