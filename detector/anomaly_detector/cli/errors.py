"""How a command of the command line ends badly: one sentence that says what was wrong, where, and what to do."""


class CommandError(Exception):
    """The message is all that the user sees; the exit status is 2."""
