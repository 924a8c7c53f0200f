"""KServe's REST endpoints, with every refusal as one sentence."""

from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi import Request
from fastapi.responses import JSONResponse
from fastapi.responses import Response
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
from kgpm.serving.kserve.rest_call import RestAnswer
from kgpm.serving.kserve.rest_call import RestCall
from kgpm.serving.v2_message import EXTENSION
from kgpm.serving.v2_message import LENGTH_HEADER


class PlainDataPlane(DataPlane):
    """Takes JSON whatever its content type says, and no cloud events."""

    def decode(
        self,
        body: Any,
        headers: Mapping[str, str],
        protocol_version: str = PredictorProtocol.REST_V1.value,
        model_name: str | None = None,
    ) -> tuple[Any, dict]:
        """The object of a v1 request.

        Raises:
            UserError: it is none.
        """
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
        return response, {"content-type": "application/json"}

    def metadata(self) -> dict[str, Any]:
        """What the server says of itself, for clients that can send bytes."""
        return {**super().metadata(), "extensions": [EXTENSION]}


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

    def check(name: str, version: str | None = None) -> None:
        if name != model.name:
            raise ModelNotFound(name)
        if version not in (None, model.version):
            raise ModelNotFound(f"{name}, version {version}")

    async def predict(
        model_name: str, model_version: str, request: Request
    ) -> Any:
        check(model_name, model_version)
        return await endpoints.predict(model_name, request)

    async def metadata(model_name: str) -> Response:
        check(model_name)
        spec = {"name": model.name, "version": model.version}
        signatures = model.exported.signatures
        return JSONResponse({"model_spec": spec, "signatures": signatures})

    async def infer(request: Request) -> Response:
        given = request.path_params
        check(given["model_name"], given.get("model_version"))
        call = RestCall(
            await request.body(), request.headers.get(LENGTH_HEADER)
        )
        answer, _ = await dataplane.infer(model.name, call)
        return _v2_response(answer)

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
    # Before KServe's, which makes lists and pydantic's models of a body where
    # everybody waits for it.
    path = "/v2/models/{model_name}"
    for route in (path, path + "/versions/{model_version}"):
        app.add_route(route + "/infer", infer, methods=["POST"])
    register_v2_endpoints(app, dataplane, repository)
    for kind in (*KNOWN, Exception):
        app.add_exception_handler(kind, _refuse)
    app.add_exception_handler(HTTPException, _refuse_route)
    app.add_middleware(BodyLimit, max_bytes=max_bytes)
    return app


def _v2_response(answer: RestAnswer) -> Response:
    if answer.json_length == len(answer.body):
        return Response(answer.body, media_type="application/json")
    return Response(
        answer.body,
        headers={LENGTH_HEADER: str(answer.json_length)},
        media_type="application/octet-stream",
    )


async def _refuse(_: Request, error: Exception) -> Response:
    refusal = refusal_of(error)
    return _said(refusal.http, refusal.sentence)


async def _refuse_route(_: Request, error: Any) -> Response:
    return _said(error.status_code, str(error.detail))


def _said(status: int, sentence: str) -> Response:
    content = {"error": shortened(sentence)}
    return JSONResponse(content, status_code=status)
