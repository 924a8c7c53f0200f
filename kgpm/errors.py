"""The one exception for mistakes of a user."""


class UserError(ValueError):
    """A wrong argument, shape, file, flag or data set.

    The message is one sentence that says what was expected, what was received
    and what to do. The programs print that sentence and end with exit code 2.
    """
