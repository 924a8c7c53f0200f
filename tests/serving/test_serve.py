"""The program: what it says before it serves, and why it does not."""

import gc
import socket
import subprocess
import sys

import pytest

from kgpm import serve
from kgpm.cli import flags
from kgpm.cli.main import parse
from kgpm.cli.main import run
from kgpm.errors import UserError
from kgpm.serving.first_calls import first_calls
from kgpm.serving.kserve.server import KServeServer
from kgpm.serving.sockets import listening_socket


def values(*arguments):
    found = flags.FlagValues()
    serve.define_flags(found)
    parse(found, list(arguments))
    return found


def test_help_names_the_limits(capsys):
    define = (serve.main, serve.define_flags, serve.__doc__)
    assert run("kgpm.serve", *define, argv=["--help"]) == 0
    text = capsys.readouterr().out
    for flag in ("export_dir", "host", "grpc_port", "max_request_mb"):
        assert f"--{flag}" in text
    assert "python -m kgpm.serve" in text


def test_an_export_is_needed(tmp_path):
    with pytest.raises(UserError, match="--export_dir is required"):
        serve.check(values())
    with pytest.raises(UserError, match="holds no export"):
        serve.check(values(f"--export_dir={tmp_path}"))
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").touch()
    serve.check(values(f"--export_dir={tmp_path}"))
    with pytest.raises(UserError, match="holds no version 2"):
        serve.check(values(f"--export_dir={tmp_path}", "--version=2"))


def test_without_kserve_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "kserve", None)
    with pytest.raises(UserError, match=r"pip install 'kgpm\[serve\]'"):
        serve.check(values(f"--export_dir={tmp_path}"))


@pytest.mark.parametrize(
    "flag",
    ["port=70000", "max_batch=0", "max_concurrency=0", "max_request_mb=0"],
)
def test_a_flag_out_of_bounds(flag):
    with pytest.raises(UserError, match=flag.partition("=")[0]):
        values(f"--{flag}")


def test_a_socket_of_one_address():
    with listening_socket("127.0.0.1", 0) as listening:
        host, port = listening.getsockname()
        assert host == "127.0.0.1"
        with pytest.raises(UserError, match="already in use.*choose another"):
            listening_socket("127.0.0.1", port)
        # Else each short answer is held back for 40 ms.
        with socket.create_connection((host, port)):
            accepted, _ = listening.accept()
            with accepted:
                level, option = socket.IPPROTO_TCP, socket.TCP_NODELAY
                assert accepted.getsockopt(level, option)
    for host in ("192.0.2.1", "no.such.host.invalid"):
        with pytest.raises(UserError, match=f"--host={host} --port=0 cannot"):
            listening_socket(host, 0)


def test_a_grpc_port_in_use_is_found_before_the_model_loads(tmp_path):
    with listening_socket("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        with pytest.raises(UserError, match=f"--grpc_port={port} cannot"):
            KServeServer(tmp_path / "nothing", port=0, grpc_port=port)


def test_a_port_in_use_ends_the_program_with_a_sentence(tmp_path):
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").touch()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = subprocess.run(
            [
                *(sys.executable, "-m", "kgpm.serve", f"--port={port}"),
                f"--export_dir={tmp_path}",
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"kgpm.serve: --host=127.0.0.1 --port={port} cannot")


def test_every_signature_is_called_before_anybody_asks(exported):
    called = []

    class Recorder:
        signatures = exported.signatures

        def call(self, signature, inputs):
            called.append(signature)
            return exported.call(signature, inputs)

    first_calls(Recorder())
    assert sorted(called) == sorted(exported.signatures)


def test_what_was_loaded_is_not_searched_for_garbage(small_export, monkeypatch):
    server = KServeServer(small_export, port=0)
    frozen = []

    async def serve(announce):
        frozen.append(gc.get_freeze_count())

    monkeypatch.setattr(server, "_run", serve)
    server.run()
    assert frozen[0] > 100_000
    assert gc.get_freeze_count() == 0
    server._socket.close()
