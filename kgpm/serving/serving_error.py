"""The exception for a server that does not answer."""


class ServingError(ConnectionError):
    """No answer: unreachable, too slow, overloaded or broken.

    The same request may be answered later. What is refused and would be
    refused again is a `kgpm.UserError`, as it is in this process. The message
    is one sentence.
    """
