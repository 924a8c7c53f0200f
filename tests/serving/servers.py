"""`kgpm.serve` on loopback: in a thread of the tests, or as a process."""

import asyncio
import contextlib
import json
import queue
import re
import select
import socket
import subprocess
import sys
import threading

import urllib3

START_SECONDS = 240


class Server:
    """A server that runs, and ways to ask it."""

    def __init__(self, line, grpc_port, process=None):
        assert line.startswith("serving"), line
        self.process = process
        self.url = re.search(r"http://[^/]+", line).group()
        self.port = int(self.url.rpartition(":")[2])
        self.grpc = f"127.0.0.1:{grpc_port}"
        self.pool = urllib3.PoolManager(maxsize=32, retries=False)

    def get(self, path):
        response = self.pool.request("GET", self.url + path, timeout=20)
        return response.status, response.json()

    def post(self, path, body, headers=None):
        """Status and JSON of an answer; a body that is no bytes is JSON."""
        if not isinstance(body, bytes) and not hasattr(body, "__next__"):
            body = json.dumps(body).encode()
        response = self.pool.request(
            "POST",
            self.url + path,
            body=body,
            headers=headers or {"Content-Type": "application/json"},
            timeout=60,
        )
        return response.status, response.json()

    def predict(self, signature, inputs):
        body = {"signature_name": signature, "inputs": inputs}
        return self.post("/v1/models/small:predict", body)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@contextlib.contextmanager
def server_thread(export_dir):
    """Runs a server in a thread of this process."""
    from kgpm.serving.kserve.server import KServeServer

    grpc_port = free_port()
    served = KServeServer(export_dir, port=0, grpc_port=grpc_port)
    lines = queue.Queue()

    async def serve():
        told = asyncio.Event()
        loop = asyncio.get_running_loop()
        ends.append(lambda: loop.call_soon_threadsafe(told.set))
        await served.serve(told, lines.put)

    ends = []
    thread = threading.Thread(target=asyncio.run, args=[serve()])
    thread.start()
    try:
        server = Server(lines.get(timeout=START_SECONDS), grpc_port)
        yield server
        server.pool.clear()
    finally:
        for end in ends:
            end()
        thread.join()


@contextlib.contextmanager
def server_process(export_dir, log, *flags):
    """Starts a server and ends it, where the test has not.

    Args:
        export_dir: of the model.
        log: file for what it says to stderr.
        flags: beside the ports.
    """
    grpc_port = free_port()
    command = [sys.executable, "-m", "kgpm.serve", "--port=0"]
    command += [f"--export_dir={export_dir}", f"--grpc_port={grpc_port}"]
    with (
        open(log, "wb") as stderr,
        subprocess.Popen(
            [*command, *flags],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        ) as process,
    ):
        try:
            ready, _, _ = select.select([process.stdout], [], [], START_SECONDS)
            line = process.stdout.readline() if ready else ""
            assert line, log.read_text()
            server = Server(line, grpc_port, process)
            yield server
            server.pool.clear()
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
