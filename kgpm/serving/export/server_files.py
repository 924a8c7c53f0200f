"""What TensorFlow Serving needs to find and run an export."""

from pathlib import Path

from kgpm.files import write_text

# The newest release when this was written.
IMAGE = "tensorflow/serving:2.20.0"

_MODELS = """\
model_config_list {{
  config {{
    name: "{name}"
    base_path: "/models/{name}"
    model_platform: "tensorflow"
    model_version_policy {{ latest {{ num_versions: 2 }} }}
  }}
}}
"""

_BATCHING = """\
# For the flags --enable_batching and
# --batching_parameters_file=/models/{name}/batching.config
# TensorFlow Serving joins requests along the first axis of every input, so
# that it refuses inputs without an axis for the episodes: use it for a server
# that answers serving_default, write and read alone. Requests that are joined
# must agree in every other axis.
max_batch_size {{ value: 32 }}
batch_timeout_micros {{ value: 2000 }}
max_enqueued_batches {{ value: 100 }}
num_batch_threads {{ value: 2 }}
"""

_COMPOSE = """\
# docker compose up; gRPC on 8500, REST on 8501, for this machine alone.
services:
  serving:
    image: ${{TF_SERVING_IMAGE:-{image}}}
    ports:
      - "127.0.0.1:8500:8500"
      - "127.0.0.1:8501:8501"
    volumes:
      - .:/models/{name}:ro
    entrypoint:
      - tensorflow_model_server
      - --port=8500
      - --rest_api_port=8501
      - --model_config_file=/models/{name}/models.config
      # Two versions at a time, so that an old one answers until the new one
      # is there.
      - --file_system_poll_wait_seconds=10
    restart: unless-stopped
"""


def write_server_files(export_dir: Path) -> None:
    """Writes the files of all versions; one that is there stays as it is.

    Args:
        export_dir: of all versions; its name is the name of the model.
    """
    name = export_dir.resolve().name
    for file, text in (
        ("models.config", _MODELS),
        ("batching.config", _BATCHING),
        ("docker-compose.yml", _COMPOSE),
    ):
        if not (export_dir / file).exists():
            content = text.format(name=name, image=IMAGE)
            write_text(export_dir / file, content)
