"""What a server said, as one sentence."""

# Lines of TensorFlow's reports that say where, not what.
_WHERE = ("Graph execution error", "Detected at node", "<stack traces", "[[")


def sentence_of(message: str) -> str:
    """The sentence of a check in the graph, out of TensorFlow's report.

    Args:
        message: of a `tf.errors.OpError`, or what a server made of it.
    """
    _, found, rest = message.partition("assertion failed: ")
    lines = [line.strip() for line in (rest or message).splitlines()]
    if not found:
        said = [line for line in lines if line and not line.startswith(_WHERE)]
        return said[0] if said else "the model could not answer"
    # [first] [second]: the brackets are TensorFlow's, around each part. What
    # follows is where in the graph it stood.
    line = lines[0]
    parts = line[: line.rfind("]") + 1][1:-1].split("] [")
    return " ".join(parts).replace(" ,", ",")
