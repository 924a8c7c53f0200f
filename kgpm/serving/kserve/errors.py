"""Errors as HTTP and gRPC tell them: a status and a sentence."""

from http import HTTPStatus
from typing import NamedTuple

import grpc
import tensorflow as tf
from kserve import errors

from kgpm.errors import UserError
from kgpm.serving.kserve.call_queue import Busy

# A sentence may quote what was sent; gRPC's trailers hold 8 KiB.
_MOST_CHARACTERS = 500


class Refusal(NamedTuple):
    """What a failed request is answered with.

    Attributes:
        http: status of a REST answer.
        grpc: status of a gRPC answer.
        sentence: what the client is told; the error's own where it is empty.
    """

    http: HTTPStatus
    grpc: grpc.StatusCode
    sentence: str = ""


_REFUSED = Refusal(HTTPStatus.BAD_REQUEST, grpc.StatusCode.INVALID_ARGUMENT)
_FULL = Refusal(
    HTTPStatus.SERVICE_UNAVAILABLE,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    "The server ran out of memory: send smaller requests.",
)
_MISSING = Refusal(HTTPStatus.NOT_IMPLEMENTED, grpc.StatusCode.UNIMPLEMENTED)
# Of a defect nothing is told.
_DEFECT = Refusal(
    HTTPStatus.INTERNAL_SERVER_ERROR,
    grpc.StatusCode.INTERNAL,
    "The server failed to answer; its log says why.",
)

KNOWN: dict[type[Exception], Refusal] = {
    UserError: _REFUSED,
    errors.InvalidInput: _REFUSED,
    errors.InferenceError: _REFUSED,
    errors.ModelNotFound: Refusal(
        HTTPStatus.NOT_FOUND, grpc.StatusCode.NOT_FOUND
    ),
    errors.ModelNotReady: Refusal(
        HTTPStatus.SERVICE_UNAVAILABLE, grpc.StatusCode.UNAVAILABLE
    ),
    errors.UnsupportedProtocol: _MISSING,
    NotImplementedError: _MISSING,
    Busy: _FULL._replace(sentence=""),
    MemoryError: _FULL,
    tf.errors.ResourceExhaustedError: _FULL,
}


def refusal_of(error: Exception) -> Refusal:
    """How an error is told; what is not known is a defect."""
    found = next(
        (KNOWN[kind] for kind in KNOWN if isinstance(error, kind)), _DEFECT
    )
    return found._replace(sentence=found.sentence or shortened(str(error)))


def shortened(sentence: str) -> str:
    """A sentence on one line, not too long to be sent."""
    sentence = " ".join(sentence.split())
    if len(sentence) > _MOST_CHARACTERS:
        return sentence[:_MOST_CHARACTERS] + "..."
    return sentence
