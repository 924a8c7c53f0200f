"""KServe's REST endpoints, with every refusal as one sentence."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.responses import Response
from kserve import InferRequest
from kserve.constants.constants import INFERENCE_CONTENT_LENGTH_HEADER
from kserve.constants.constants import PredictorProtocol
from kserve.errors import ModelNotFound
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.model_repository_extension import ModelRepositoryExtension
from kserve.protocol.rest.server import metrics_handler
from kserve.protocol.rest.v1_endpoints import V1Endpoints
from kserve.protocol.rest.v1_endpoints import register_v1_endpoints
from kserve.protocol.rest.v2_endpoints import register_v2_endpoints
from starlette.exceptions import HTTPException

from kgpm.errors import UserError
from kgpm.serving.kserve.body_limit import BodyLimit
from kgpm.serving.kserve.errors import KNOWN
from kgpm.serving.kserve.errors import refusal_of
from kgpm.serving.kserve.errors import shortened
from kgpm.serving.kserve.model import KServeModel


class PlainDataPlane(DataPlane):
    """Takes JSON whatever its content type says, and no cloud events."""

    def decode(
        self,
        body: Any,
        headers: Mapping[str, str],
        protocol_version: str = PredictorProtocol.REST_V1.value,
        model_name: str | None = None,
    ) -> tuple[Any, dict]:
        """The object of a v1 request, or the `InferRequest` of a v2 one.

        Raises:
            UserError: it is none.
        """
        if isinstance(body, InferRequest):
            return body, {}
        if protocol_version == PredictorProtocol.REST_V2.value:
            if isinstance(body, bytes):
                # Nothing but JSON, of a client that does not say so.
                length = {INFERENCE_CONTENT_LENGTH_HEADER: str(len(body))}
                headers = {**length, **headers}
            try:
                request = self.decode_inference_request(
                    body, headers, model_name
                )
            except (ValueError, TypeError, LookupError, AttributeError):
                raise UserError(
                    "Expected an inference request of protocol v2 as JSON, or "
                    f"with binary tensors and {INFERENCE_CONTENT_LENGTH_HEADER}"
                    ", received something else."
                ) from None
            return request, {}
        try:
            request = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise UserError(
                f"Expected a request as JSON, received something else: {error}."
            ) from None
        if not isinstance(request, dict):
            raise UserError(
                "Expected a JSON object with signature_name and inputs, "
                f"received {type(request).__name__}."
            )
        return request, {}

    def encode(
        self,
        model_name: str,
        response: Any,
        headers: Mapping[str, str],
        req_attributes: dict,
    ) -> tuple[Any, dict[str, str]]:
        """The content of an answer and its headers."""
        if isinstance(response, bytes):
            return response, {"content-type": "application/json"}
        content, length = response.to_rest()
        if length is None:
            return content, {}
        return content, {INFERENCE_CONTENT_LENGTH_HEADER: str(length)}


class FixedModels(ModelRepositoryExtension):
    """Nobody who asks may load a model or take it away."""

    async def load(self, model_name: str) -> None:
        raise UserError("Models of this server are not loaded on request.")

    async def unload(self, model_name: str) -> None:
        raise UserError("Models of this server are not unloaded on request.")


def rest_app(
    model: KServeModel,
    dataplane: DataPlane,
    repository: ModelRepositoryExtension,
    max_bytes: int,
) -> FastAPI:
    """The application: v1 as TensorFlow Serving has it, v2, and metrics.

    Args:
        model: what is served.
        dataplane: finds it.
        repository: of models.
        max_bytes: largest request.
    """
    app = FastAPI(title=model.name, docs_url=None, openapi_url=None)
    endpoints = V1Endpoints(dataplane, repository)

    def check(model_name: str, model_version: str) -> None:
        if (model_name, model_version) != (model.name, model.version):
            raise ModelNotFound(f"{model_name}, version {model_version}")

    async def predict(
        model_name: str, model_version: str, request: Request
    ) -> Any:
        check(model_name, model_version)
        return await endpoints.predict(model_name, request)

    async def metadata(model_name: str) -> Response:
        check(model_name, model.version)
        spec = {"name": model.name, "version": model.version}
        signatures = model.exported.signatures
        return JSONResponse({"model_spec": spec, "signatures": signatures})

    path = "/v1/models/{model_name}"
    app.add_api_route("/", dataplane.live)
    app.add_api_route("/metrics", metrics_handler)
    app.add_api_route(path + "/metadata", metadata)
    app.add_api_route(
        path + "/versions/{model_version}:predict",
        predict,
        methods=["POST"],
        response_model=None,
    )
    register_v1_endpoints(app, dataplane, repository)
    register_v2_endpoints(app, dataplane, repository)
    for kind in (*KNOWN, Exception):
        app.add_exception_handler(kind, _refuse)
    app.add_exception_handler(RequestValidationError, _refuse_form)
    app.add_exception_handler(HTTPException, _refuse_route)
    app.add_middleware(BodyLimit, max_bytes=max_bytes)
    return app


async def _refuse(_: Request, error: Exception) -> Response:
    refusal = refusal_of(error)
    return _said(refusal.http, refusal.sentence)


async def _refuse_form(_: Request, error: Any) -> Response:
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))
    return _said(
        HTTPStatus.BAD_REQUEST,
        f"Expected an inference request of protocol v2: {place}: "
        f"{first['msg']}.",
    )


async def _refuse_route(_: Request, error: Any) -> Response:
    return _said(error.status_code, str(error.detail))


def _said(status: int, sentence: str) -> Response:
    content = {"error": shortened(sentence)}
    return JSONResponse(content, status_code=status)
