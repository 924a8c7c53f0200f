"""An exported model as KServe asks it."""

from collections.abc import Collection
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
from kserve import InferInput
from kserve import InferOutput
from kserve import InferRequest
from kserve import InferResponse
from kserve import Model
from kserve.protocol.infer_type import to_http_parameters
from kserve.utils.numpy_codec import from_np_dtype
from kserve.utils.numpy_codec import to_np_dtype

from kgpm.errors import UserError
from kgpm.serving.exported_model import ExportedModel
from kgpm.serving.inputs import DEFAULT_SIGNATURE
from kgpm.serving.kserve.call_queue import CallQueue
from kgpm.serving.kserve.rest_call import RestCall


class KServeModel(Model):
    """Answers TensorFlow Serving's REST form (v1) and KServe's protocol v2.

    In v2 the signature is the request's parameter `signature_name`.

    Args:
        exported: the model.
        queue: where calls run.
        max_batch: largest first axis of an input.
    """

    def __init__(
        self, exported: ExportedModel, queue: CallQueue, max_batch: int
    ) -> None:
        super().__init__(exported.name)
        self.exported = exported
        self.version = str(exported.version)
        self._queue = queue
        self._max_batch = max_batch
        self.ready = True

    def validate(self, payload: Any) -> Any:
        """The payload as it came: KServe would ask for rows."""
        return payload

    async def predict(
        self,
        payload: Any,
        headers: Mapping[str, str] | None = None,
        response_headers: dict[str, str] | None = None,
    ) -> Any:
        """Answers a request.

        Args:
            payload: the object of a v1 request, the `RestCall` of a v2 one, or
                the `InferRequest` of one over gRPC.
            headers: not looked at.
            response_headers: none are added.

        Returns:
            The JSON of a v1 answer, a `RestAnswer` or an `InferResponse`.

        Raises:
            UserError: the request cannot be answered.
            Busy: not now.
        """
        return await self._queue.run(self._answer, payload)

    async def explain(
        self, payload: Any, headers: Mapping[str, str] | None = None
    ) -> Any:
        """Refuses: there is nothing to explain."""
        raise NotImplementedError("Expected :predict, received :explain.")

    def get_input_types(self) -> list[dict[str, Any]]:
        """Inputs of the default signature: v2 describes one alone."""
        return self._tensors("inputs")

    def get_output_types(self) -> list[dict[str, Any]]:
        """Outputs of the default signature."""
        return self._tensors("outputs")

    def _tensors(self, way: str) -> list[dict[str, Any]]:
        specs = self.exported.signatures[DEFAULT_SIGNATURE][way]
        return [
            {
                "name": name,
                "datatype": from_np_dtype(np.dtype(spec["dtype"])),
                "shape": spec["shape"],
            }
            for name, spec in specs.items()
        ]

    def _answer(self, payload: Any) -> Any:
        if isinstance(payload, RestCall):
            return payload.answer(self.name, self.version, self._infer)
        if isinstance(payload, InferRequest):
            return self._answer_grpc(payload)
        signature = payload.get("signature_name", DEFAULT_SIGNATURE)
        if "inputs" not in payload:
            raise UserError(
                'Expected {"signature_name": NAME, "inputs": {NAME: ARRAY}}, '
                "received a request without inputs; rows as instances are not "
                "taken."
            )
        outputs = self._call(signature, payload["inputs"])
        # As TensorFlow Serving: a single output comes without its name.
        answer: Any = outputs if len(outputs) > 1 else outputs.popitem()[1]
        # Two thirds of the time and of the bytes of lists of floats.
        return orjson.dumps(
            {"outputs": answer}, option=orjson.OPT_SERIALIZE_NUMPY
        )

    def _answer_grpc(self, request: InferRequest) -> InferResponse:
        if request.model_version not in (None, "", self.version):
            raise UserError(
                f"Expected version {self.version}, received "
                f"{request.model_version!r}."
            )
        parameters = to_http_parameters(request.parameters or {})
        outputs = self._infer(
            parameters.get("signature_name", DEFAULT_SIGNATURE),
            {tensor.name: _array(tensor) for tensor in request.inputs},
            [output.name for output in request.request_outputs or []],
        )
        return InferResponse(
            response_id=request.id or "",
            model_name=self.name,
            model_version=self.version,
            infer_outputs=[
                _output(name, value, request.use_binary_outputs)
                for name, value in outputs.items()
            ],
            use_binary_outputs=request.use_binary_outputs,
        )

    def _infer(
        self,
        signature: Any,
        inputs: Mapping[str, np.ndarray],
        asked: Collection[str],
    ) -> dict[str, np.ndarray]:
        """Outputs of protocol v2: those that are asked for, or all."""
        outputs = self._call(signature, inputs)
        if not set(asked) <= set(outputs):
            raise UserError(
                f"Expected outputs out of {', '.join(outputs)}, received "
                f"{', '.join(asked)}."
            )
        return {name: outputs[name] for name in asked or outputs}

    def _call(self, signature: Any, inputs: Any) -> dict[str, np.ndarray]:
        if not isinstance(signature, str):
            raise UserError(
                f"Expected signature_name to be a name, received {signature!r}."
            )
        known = self.exported.signatures.get(signature, {"inputs": {}})
        specs: Mapping[str, Any] = known["inputs"]
        if specs and not isinstance(inputs, dict):
            if len(specs) != 1:
                raise UserError(
                    f"Expected inputs by their names ({', '.join(specs)}), "
                    f"received {type(inputs).__name__}."
                )
            inputs = {name: inputs for name in specs}
        for name, spec in specs.items():
            if name in inputs and spec["shape"][:1] == [-1]:
                self._check_batch(name, inputs[name])
        return self.exported.call(signature, inputs)

    def _check_batch(self, name: str, value: Any) -> None:
        is_list = isinstance(value, list) or np.shape(value)
        if is_list and len(value) > self._max_batch:
            raise UserError(
                f"Expected {name} of at most {self._max_batch} on its first "
                f"axis, received {len(value)}: send several requests."
            )


def _array(tensor: InferInput) -> np.ndarray:
    dtype = to_np_dtype(tensor.datatype)
    if dtype is None or dtype is np.object_:
        raise UserError(
            f"Expected {tensor.name} of a datatype like FP32 or INT32, "
            f"received {tensor.datatype}."
        )
    try:
        # With a dtype, NumPy would take strings and null for numbers.
        array = np.asarray(tensor.data) if tensor.data else tensor.as_numpy()
        array = array.reshape(tensor.shape)
        fits = list(array.shape) == list(tensor.shape)
    except (ValueError, TypeError, OverflowError):
        fits = False
    if not fits:
        raise UserError(
            f"Expected {tensor.name} to hold as many numbers as its shape "
            f"{tensor.shape} says, received others."
        )
    return array


def _output(name: str, value: np.ndarray, binary: bool) -> InferOutput:
    """An output in the form in which the request came."""
    output = InferOutput(name, list(value.shape), from_np_dtype(value.dtype))
    if binary:
        output.set_data_from_numpy(value, binary_data=True)
    else:
        output.data = value.ravel().tolist()
    return output
