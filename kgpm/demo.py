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
from kgpm.cli.flag import Flag
from kgpm.cli.main import run
from kgpm.cli.served import check_served


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of this program."""
    port = Flag(
        "port", "integer", 7860, "TCP port to listen on.", least=1, most=65535
    )
    flags.define(values, "served", own=[port])


def check(values: flags.FlagValues) -> None:
    """Refuses what cannot be shown before TensorFlow loads."""
    check_served(values, "gradio", "demo", ("port",))


def main(values: flags.FlagValues) -> None:
    """Shows the page."""
    # Imported here so that --help does not wait for TensorFlow.
    from kgpm.serving import ExportedModel
    from kgpm.serving.demo.model import DemoModel
    from kgpm.serving.demo.server import serve_page

    model = DemoModel(ExportedModel(values.export_dir, values.version))

    def build() -> object:
        from kgpm.serving.demo.page import build_page

        return build_page(model)

    def ready(url: str) -> None:
        print(f"{model.name} on {url} (Ctrl-C ends it)", flush=True)

    serve_page(build, values.host, values.port, ready)


if __name__ == "__main__":
    sys.exit(run("kgpm.demo", main, define_flags, __doc__, check=check))
