"""What a person can mend."""


class UserError(Exception):
    """Base of errors that are nobody's bug: the message is one line for a person, and no traceback belongs to it.

    The command line prints that line and exits with status 2; so it does for ValueError and FileNotFoundError.
    """
