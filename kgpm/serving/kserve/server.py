"""KServe around an exported model, for one machine."""

import asyncio
import contextlib
import gc
import os
import signal
from collections.abc import Callable
from typing import Any

import uvicorn
from kserve import ModelRepository

from kgpm.serving.addresses import listening_socket
from kgpm.serving.addresses import url_host
from kgpm.serving.exported_model import ExportedModel
from kgpm.serving.kserve.call_queue import CallQueue
from kgpm.serving.kserve.grpc import grpc_server
from kgpm.serving.kserve.model import KServeModel
from kgpm.serving.kserve.rest import FixedModels
from kgpm.serving.kserve.rest import PlainDataPlane
from kgpm.serving.kserve.rest import rest_app

# Longest that requests are waited for at the end, seconds.
_GRACE = 10
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class KServeServer:
    """Answers REST (v1 and v2) and gRPC (v2) until it is told to stop.

    KServe's own server listens on all addresses and takes bodies of any size;
    this one takes its endpoints alone.

    Args:
        export_dir: what `kgpm.export` wrote.
        version: of the model, by default the latest.
        host: address of this machine to listen on.
        port: of REST; 0 takes a free one.
        grpc_port: of gRPC; 0 has none.
        max_request_mb: largest request, MiB.
        max_concurrency: calls that run at a time; four times as many wait.
        max_batch: largest first axis of an input.

    Raises:
        UserError: no export, or an address that cannot be listened on.
    """

    def __init__(
        self,
        export_dir: str | os.PathLike,
        version: int | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 8501,
        grpc_port: int = 0,
        max_request_mb: int = 16,
        max_concurrency: int = 8,
        max_batch: int = 64,
    ) -> None:
        # First, because it fails at once; who connects early waits.
        self._socket = listening_socket(host, port)
        self.host, self.port = self._socket.getsockname()[:2]
        self.grpc_port = grpc_port
        self._max_bytes = max_request_mb * 2**20
        exported = ExportedModel(export_dir, version)
        exported.warm_up()
        self._queue = CallQueue(max_concurrency)
        self.model = KServeModel(exported, self._queue, max_batch)
        models = ModelRepository()
        models.update(self.model)
        self._dataplane = PlainDataPlane(models)
        self._repository = FixedModels(models)

    def run(self, announce: Callable[[str], None] = print) -> None:
        """Serves until SIGINT or SIGTERM, then ends what was begun.

        Args:
            announce: is given a line that says where the server listens.
        """
        # Requests are many lists, so that Python looks for garbage often; half
        # a million objects of TensorFlow and KServe made that a second each
        # time, in which nobody was answered.
        gc.collect()
        gc.freeze()
        try:
            asyncio.run(self._until_a_signal(announce))
        finally:
            gc.unfreeze()

    async def serve(
        self, told: asyncio.Event, announce: Callable[[str], None]
    ) -> None:
        """Serves until an event is set, then ends what was begun.

        Args:
            told: ends it.
            announce: as for `run`.
        """
        rest = self._rest_server()
        grpc = None
        if self.grpc_port:
            grpc = grpc_server(
                self._dataplane,
                self._repository,
                self.host,
                self.grpc_port,
                self._max_bytes,
            )
            await grpc.start()
        announce(self._places())
        serving = asyncio.create_task(rest.serve(sockets=[self._socket]))
        stopping = asyncio.create_task(told.wait())
        await asyncio.wait(
            [serving, stopping], return_when=asyncio.FIRST_COMPLETED
        )
        rest.should_exit = True
        if grpc is not None:
            await grpc.stop(_GRACE)
        await serving
        self._queue.close()

    async def _until_a_signal(self, announce: Callable[[str], None]) -> None:
        told = asyncio.Event()
        loop = asyncio.get_running_loop()

        def end() -> None:
            told.set()
            # From here on a signal ends the program at once.
            for number in _SIGNALS:
                loop.remove_signal_handler(number)

        for number in _SIGNALS:
            loop.add_signal_handler(number, end)
        await self.serve(told, announce)

    def _rest_server(self) -> "_Server":
        app = rest_app(
            self.model, self._dataplane, self._repository, self._max_bytes
        )
        return _Server(
            uvicorn.Config(
                app,
                log_config=None,
                log_level="error",
                access_log=False,
                lifespan="off",
                timeout_graceful_shutdown=_GRACE,
            )
        )

    def _places(self) -> str:
        host = url_host(self.host)
        text = (
            f"serving {self.model.name}, version {self.model.version}, at "
            f"http://{host}:{self.port}/v1/models/{self.model.name}"
        )
        if self.grpc_port:
            text += f", gRPC (v2) at {host}:{self.grpc_port}"
        return text


class _Server(uvicorn.Server):
    """Leaves signals to who runs it; else SIGTERM would end in an error."""

    def capture_signals(self) -> Any:
        return contextlib.nullcontext()
