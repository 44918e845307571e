"""How a training ends badly. The message is the last thing printed, and reaches the user: what was wrong, where, what to do."""


class TrainingError(Exception):
    """A training that cannot go on; trying again with the same order may help or not, the message says."""
