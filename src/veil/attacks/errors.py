"""What an attack raises that gives nothing."""


class AttackFailed(RuntimeError):
    """The attack gives nothing, and knows it; the message is one line that says why."""
