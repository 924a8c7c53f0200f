"""KServe's gRPC service, with every refusal as one sentence."""

import logging
from collections.abc import Callable
from typing import Any

import grpc
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import (
    add_GRPCInferenceServiceServicer_to_server,
)
from kserve.protocol.grpc.servicer import InferenceServicer
from kserve.protocol.model_repository_extension import ModelRepositoryExtension

from kgpm.errors import UserError
from kgpm.serving.addresses import url_host
from kgpm.serving.kserve.errors import refusal_of


class SentenceInterceptor(grpc.aio.ServerInterceptor):
    """Turns what a method raises into a status and a sentence.

    KServe's own writes a traceback for each refused request, and looks for a
    reason in exceptions that have none.
    """

    async def intercept_service(
        self, continuation: Callable, handler_call_details: Any
    ) -> Any:
        handler = await continuation(handler_call_details)
        if handler is None or handler.unary_unary is None:
            return handler
        return grpc.unary_unary_rpc_method_handler(
            _guarded(handler.unary_unary),
            request_deserializer=_tolerant(handler.request_deserializer),
            response_serializer=handler.response_serializer,
        )


def grpc_server(
    dataplane: DataPlane,
    repository: ModelRepositoryExtension,
    host: str,
    port: int,
    max_bytes: int,
) -> grpc.aio.Server:
    """The server, bound but not started; needs a running event loop.

    Args:
        dataplane: finds the model.
        repository: of models.
        host: an address of this machine.
        port: a free one.
        max_bytes: largest request.

    Raises:
        UserError: the port is in use.
    """
    server = grpc.aio.server(
        interceptors=[SentenceInterceptor()],
        options=[
            ("grpc.max_receive_message_length", max_bytes),
            # The model bounds its answers.
            ("grpc.max_send_message_length", -1),
            # Else a second server would share the port.
            ("grpc.so_reuseport", 0),
        ],
    )
    add_GRPCInferenceServiceServicer_to_server(
        InferenceServicer(dataplane, repository), server
    )
    try:
        server.add_insecure_port(f"{url_host(host)}:{port}")
    except RuntimeError:
        raise UserError(
            f"--grpc_port={port} of {host} cannot be listened on: choose "
            "another, or stop what uses it"
        ) from None
    return server


def _tolerant(deserialize: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """Bytes that are no message become the exception that says so."""

    def read(data: bytes) -> Any:
        try:
            return deserialize(data)
        except Exception as error:
            return error

    return read


def _guarded(method: Callable) -> Callable:
    async def answer(request: Any, context: Any) -> Any:
        try:
            if isinstance(request, Exception):
                raise UserError(
                    "Expected a message of KServe's protocol v2, received "
                    "bytes that are none."
                )
            return await method(request, context)
        except grpc.aio.AbortError:
            raise
        except Exception as error:
            refusal = refusal_of(error)
            if refusal.grpc is grpc.StatusCode.INTERNAL:
                logging.getLogger(__name__).exception("a gRPC call failed")
            await context.abort(refusal.grpc, refusal.sentence)

    return answer
