"""Shows a page to try an exported model on.

Pick, upload or draw images, write them into a memory, damage them and watch
them being read back step by step, and generate from the memory. The page asks
no other host for anything; each user has a memory of one's own. Ctrl-C ends
it. Needs pip install 'kgpm[demo]'.

Example:

    python -m kgpm.demo --export_dir=saved_models/digits
"""

import sys

from kgpm.cli import flags
from kgpm.cli.flag_groups import definers
from kgpm.cli.main import run
from kgpm.errors import UserError


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of this program."""
    string, integer, _, _, _ = definers(values, "program")
    string("export_dir", None, "Directory that kgpm.export wrote to. Required.")
    integer(
        "version",
        None,
        "Number of the version; without it the highest there.",
        lower_bound=1,
    )
    string(
        "host",
        "127.0.0.1",
        "Address to listen on: 127.0.0.1 is for this machine alone, 0.0.0.0 "
        "for everybody who can reach it.",
    )
    integer(
        "port",
        7860,
        "TCP port to listen on.",
        lower_bound=1,
        upper_bound=65535,
    )


def check(values: flags.FlagValues) -> None:
    """Refuses what cannot be shown before TensorFlow loads."""
    from pathlib import Path

    from kgpm.serving.demo_server import check_address
    from kgpm.serving.demo_server import check_gradio
    from kgpm.serving.versions import latest_version

    if not values.export_dir:
        raise UserError(
            "--export_dir is required: name the directory of an export, such "
            "as saved_models/NAME"
        )
    latest_version(Path(values.export_dir), values.version)
    check_gradio()
    check_address(values.host, values.port)


def main(values: flags.FlagValues) -> None:
    """Shows the page."""
    # Imported here so that --help does not wait for TensorFlow.
    from kgpm.serving import ExportedModel
    from kgpm.serving.demo_model import DemoModel
    from kgpm.serving.demo_server import serve_page

    model = DemoModel(ExportedModel(values.export_dir, values.version))

    def build() -> object:
        from kgpm.serving.demo_page import build_page

        return build_page(model)

    def ready(url: str) -> None:
        print(f"{model.name} on {url} (Ctrl-C ends it)", flush=True)

    serve_page(build, values.host, values.port, ready)


if __name__ == "__main__":
    sys.exit(run("kgpm.demo", main, define_flags, __doc__, check=check))
