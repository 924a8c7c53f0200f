"""Errors as HTTP and gRPC tell them."""

from http import HTTPStatus
from typing import NamedTuple

import grpc
import tensorflow as tf
from kserve import errors

from kgpm.errors import UserError
from kgpm.serving.kserve.call_queue import Busy

# A sentence may quote what was sent; gRPC's trailers hold 8 KiB.
_MOST_CHARACTERS = 500


class Status(NamedTuple):
    """What a failed request is answered with.

    Attributes:
        http: status of a REST answer.
        grpc: status of a gRPC answer.
    """

    http: HTTPStatus
    grpc: grpc.StatusCode


_REFUSED = Status(HTTPStatus.BAD_REQUEST, grpc.StatusCode.INVALID_ARGUMENT)
_FULL = Status(
    HTTPStatus.SERVICE_UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED
)
_AWAY = Status(HTTPStatus.SERVICE_UNAVAILABLE, grpc.StatusCode.UNAVAILABLE)
_MISSING = Status(HTTPStatus.NOT_IMPLEMENTED, grpc.StatusCode.UNIMPLEMENTED)
_DEFECT = Status(HTTPStatus.INTERNAL_SERVER_ERROR, grpc.StatusCode.INTERNAL)

STATUSES: dict[type[Exception], Status] = {
    UserError: _REFUSED,
    errors.InvalidInput: _REFUSED,
    errors.InferenceError: _REFUSED,
    errors.ModelNotFound: Status(
        HTTPStatus.NOT_FOUND, grpc.StatusCode.NOT_FOUND
    ),
    errors.ModelNotReady: _AWAY,
    errors.UnsupportedProtocol: _MISSING,
    NotImplementedError: _MISSING,
    Busy: _FULL,
    MemoryError: _FULL,
    tf.errors.ResourceExhaustedError: _FULL,
}


def status_of(error: Exception) -> Status:
    """The status of an error; what is not known is a defect."""
    for kind, status in STATUSES.items():
        if isinstance(error, kind):
            return status
    return _DEFECT


def sentence_for(error: Exception) -> str:
    """What the client is told; of a defect nothing."""
    if status_of(error) is _DEFECT:
        return "The server failed to answer; its log says why."
    if status_of(error) is _FULL and not isinstance(error, Busy):
        return "The server ran out of memory: send smaller requests."
    return shortened(str(error))


def shortened(sentence: str) -> str:
    """A sentence on one line, not too long to be sent."""
    sentence = " ".join(sentence.split())
    if len(sentence) > _MOST_CHARACTERS:
        return sentence[:_MOST_CHARACTERS] + "..."
    return sentence
