"""The package as a newcomer meets it: metadata, README, configs, imports."""

import ast
import configparser
import importlib
import importlib.metadata
import inspect
import os
import pkgutil
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

import kgpm
from kgpm.cli import flags
from kgpm.cli.main import training_flags
from kgpm.cli.parts import make_model

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
CI = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
CONFIGS = sorted((ROOT / "configs").glob("*.cfg"))
PROGRAMS = ("train", "evaluate", "generate", "denoise", "reproduce")
# Where the name of an import is not the name of what is installed.
DISTRIBUTIONS = {
    "PIL": "pillow",
    "absl": "absl-py",
    "grpc": "grpcio",
    "sklearn": "scikit-learn",
    "tensorflow_serving": "tensorflow-serving-api",
    "tensorflow_datasets": "tensorflow-datasets",
    "tensorflow_probability": "tensorflow-probability",
}


def shell_lines(text: str) -> list[str]:
    """The commands in the README's bash blocks."""
    blocks = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line]


def run_python(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )


def requirements(*extras: str) -> list[str]:
    """What an installation brings; with extras, what these bring alone."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    if extras:
        lists = [setup["options.extras_require"][extra] for extra in extras]
    else:
        lists = [setup["options"]["install_requires"]]
    lines = "\n".join(lists).splitlines()
    return [line for line in lines if line and not line.startswith("#")]


# What a user has who serves models and shows them.
SERVING_EXTRAS = ("serving", "serve", "demo")


def test_the_version_is_said_once():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    assert setup["metadata"]["version"] == "attr: kgpm.__version__"
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    released = re.findall(r"^## \[(\d.*?)\]", changelog, re.MULTILINE)
    assert released[0] == kgpm.__version__


def test_the_installed_version_is_this_one():
    try:
        installed = importlib.metadata.version("kgpm")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("the tests run from sources that are not installed")
    assert installed == kgpm.__version__


def test_what_is_imported_is_required():
    imported = set()
    for path in (ROOT / "kgpm").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add((node.module or "").split(".")[0])
    imported -= {"kgpm", *sys.stdlib_module_names}
    lines = requirements() + requirements(*SERVING_EXTRAS)
    required = {re.split(r"[ \[<>=]", line)[0] for line in lines}
    needed = {DISTRIBUTIONS.get(name, name) for name in imported}
    # TFDS imports the first without requiring it; of the second the digits are
    # read, and nothing is imported.
    assert needed | {"importlib_resources", "scikit-learn"} == required


@pytest.mark.parametrize(
    "requirement", requirements() + requirements(*SERVING_EXTRAS)
)
def test_every_requirement_has_two_bounds_and_holds_here(requirement):
    from packaging.requirements import Requirement

    parsed = Requirement(requirement)
    operators = {specifier.operator for specifier in parsed.specifier}
    assert operators == {">=", "<"}
    assert importlib.metadata.version(parsed.name) in parsed.specifier


def test_ci_runs_the_commands_of_the_readme():
    commands = shell_lines(README)
    fresh = [line for line in commands if line.startswith("python -m venv")]
    main_job, tests = fresh
    assert "kgpm.train --flagfile=configs/digits.cfg" in main_job
    assert tests.endswith("python -m pytest -n 2 --dist worksteal")
    ci = [line.strip() for line in CI.splitlines()]
    assert ci.index(tests) < ci.index(main_job)
    for line in commands:
        if line.startswith("python -m kgpm."):
            # A server goes on in the background.
            assert {line, f"{line} &"} & {*ci} or main_job.endswith(line), line


def test_ci_can_be_executed():
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    check = subprocess.run(["bash", "-n", ROOT / ".ci" / "run"], check=False)
    assert check.returncode == 0


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "CONTRIBUTING.md",
        *(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")),
    ],
)
def test_what_a_page_links_to_exists(name):
    page = ROOT / name
    links = re.findall(
        r"\]\(([^)#:]+)[^):]*\)", page.read_text(encoding="utf-8")
    )
    missing = [link for link in links if not (page.parent / link).exists()]
    assert missing == []


def test_the_readme_names_every_data_set():
    for name in kgpm.data.SOURCES:
        assert f"`{name}`" in README


def test_the_python_example_of_the_readme_is_right():
    """Every call of it fits the signature of what it calls."""
    from kgpm.data import episodes
    from kgpm.layers import DynamicKanervaMemory
    from kgpm.models import GPM

    examples = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    example = "\n".join(examples)
    functions = {
        "episodes": episodes,
        "GPM": GPM,
        "DynamicKanervaMemory": DynamicKanervaMemory,
    }
    owners = {"model": GPM, "memory": DynamicKanervaMemory}
    checked = set()
    for node in ast.walk(ast.parse(example)):
        if not isinstance(node, ast.Call) or not isinstance(
            node.func, ast.Attribute
        ):
            continue
        name = node.func.attr
        owner = ast.unparse(node.func.value)
        function = functions.get(name)
        arguments = [None] * len(node.args)
        if owner in owners and name not in ("compile", "fit"):
            function = getattr(owners[owner], name)
            arguments.append(None)
        if function is None:
            continue
        keywords = {word.arg: None for word in node.keywords}
        inspect.signature(function).bind(*arguments, **keywords)
        checked.add(name)
    assert checked == {
        *functions,
        *("write", "read", "denoise", "generate", "bound_terms"),
        *("build", "sample"),
    }


def test_the_agreed_configs_are_there():
    assert {path.stem for path in CONFIGS} >= {
        "digits",
        "gpm_digits",
        "gpm_omniglot",
        "gpm_mnist",
        "gpm_fashion_mnist",
        "gpm_cifar10",
        "gpm_cifar100",
        "celeba",
        "km_omniglot",
        "km_cifar10",
        "dkm_omniglot",
        "dkm_mnist",
        "dkm_cifar10",
        "vae_omniglot",
        "vae_mnist",
        "kpp_mnist",
        "kpp_omniglot",
        "kpp_cifar10",
        "kpp_celeba",
        "kpp_dmlab",
        "kpp_imagenet32",
        "kpp_dense_omniglot",
        "kpp_digits",
    }


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_has_a_header_and_no_trailing_comment(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    header = "\n".join(lines[: lines.index("")])
    assert all(line.startswith("#") for line in header.splitlines())
    for key in ("paper", "data", "command", "figures", "time"):
        assert re.search(rf"^# {key}: +\S", header, re.MULTILINE), key
    assert f"--flagfile=configs/{path.name} " in header
    for line in lines:
        # absl takes what stands behind a value as a part of it.
        assert not line or line[0] == "#" or re.fullmatch(r"--[^\s#]+", line)


@pytest.mark.slow
@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_makes_its_model(path):
    values = training_flags(f"--flagfile={path}", "--model_dir=runs/unused")
    # Nothing in it is without effect.
    flags.check_effects(values)
    source = kgpm.data.SOURCES[values.dataset]
    # Nearest pixels of a binary image are as binary.
    binary = values.binarize != "none" or source.binary_codes or source.nearest
    assert binary == (values.likelihood == "bernoulli")
    size = values.image_size or source.image_size
    channels = values.channels or source.channels
    model = make_model(values, (size, size, channels))
    assert type(model) is kgpm.models.MODELS[values.model]
    assert model.likelihood.name == values.likelihood


def test_importing_the_package_does_not_import_tensorflow():
    done = run_python(
        "-c",
        "import sys, kgpm, kgpm.cli.main, kgpm.train, kgpm.denoise;"
        "kgpm.data.SOURCES;"
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)",
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_is_quick_and_quiet(program):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = run_python("-m", f"kgpm.{program}", "--help")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0
    assert done.stderr == ""
    assert "--model_dir" in done.stdout
    assert f"python -m kgpm.{program}" in done.stdout
    # Time of the processor, because other tests run beside this one.
    seconds = after.ru_utime - before.ru_utime
    seconds += after.ru_stime - before.ru_stime
    assert seconds < 1.0


def test_help_loads_no_tensorflow():
    done = run_python("-X", "importtime", "-m", "kgpm.train", "--help")
    loaded = {
        line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()
    }
    assert "kgpm.cli.help" in loaded
    heavy = {"tensorflow", "keras", "numpy", "matplotlib", "sklearn"}
    assert not heavy & loaded


@pytest.mark.slow
def test_programs_do_without_what_keras_only_may_use():
    """It can be imported afterwards, as data sets and figures do."""
    done = run_python(
        "-c",
        "import sys; from kgpm.cli import quiet; quiet.import_tensorflow();"
        "names = {'matplotlib.pyplot', 'pandas', 'sklearn'};"
        "assert not names & set(sys.modules), names & set(sys.modules);"
        "import matplotlib.pyplot, pandas, sklearn.datasets",
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_binary_images_train_without_tensorflow_probability():
    """Which takes half a second to import."""
    done = run_python(
        "-c",
        "import sys; from kgpm.cli import quiet; quiet.import_tensorflow();"
        "import kgpm.cli.training_job;"
        "sys.exit('tensorflow_probability' in sys.modules)",
    )
    assert done.returncode == 0, done.stderr


def test_every_public_name_is_documented():
    """Also where the text is inherited, which a linter cannot see.

    What Keras calls (`build`, `call`, `train_step`) is documented by Keras.
    """
    import keras

    missing = []
    for info in pkgutil.walk_packages(kgpm.__path__, "kgpm."):
        module = importlib.import_module(info.name)
        for name, thing in vars(module).items():
            if name.startswith("_") or not inspect.isclass(thing):
                continue
            if thing.__module__ != info.name:
                continue
            for member, value in vars(thing).items():
                public = not member.startswith("_")
                public = public and not hasattr(keras.Model, member)
                kinds = (property, classmethod, staticmethod)
                method = inspect.isfunction(value) or isinstance(value, kinds)
                if public and method:
                    if not inspect.getdoc(getattr(thing, member)):
                        missing.append(f"{info.name}.{name}.{member}")
    assert missing == []
