"""The base of errors that a person can correct."""


class UserError(Exception):
    """Base of errors that are not bugs: the message is one line for a person and needs no traceback.

    The command line prints this line and exits with status 2. It does the same for ValueError and FileNotFoundError.
    """
