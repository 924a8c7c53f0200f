"""The house has floors, and imports only go down."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Lowest first. A module imports from the floors below its own, and inside its
# own package.
FLOORS = (
    "errors",
    "files",
    "onednn",
    "configuration",
    "ops",
    "likelihoods",
    "layers",
    "models",
    "data",
    "pictures",
    "evaluation",
    "training",
    "serving",
    "cli",
    "experiments",
)
PROGRAMS = (
    "train",
    "evaluate",
    "generate",
    "denoise",
    "export",
    "demo",
    "reproduce",
    "serve",
)
# Data and models know nothing of each other, whatever their floors.
STRANGERS = {("data", "models"), ("data", "layers")}

# These floors are written with `keras.ops` and `keras.random` alone.
PORTABLE = ("ops", "layers", "models")
TENSORFLOW = ("tensorflow", "tensorflow_probability", "tf_keras")
# With the reason why TensorFlow is needed there after all.
USES_TENSORFLOW = {
    "kgpm.ops.random": "stateless noise, equal in graph and eager mode",
    "kgpm.ops.replicas": "sums over the replicas of a tf.distribute strategy",
    "kgpm.models.bound_model": "the one training step: tf.GradientTape",
}

# Above the models, these alone know their names: which takes which flag, and
# of which parts it is.
NAMES_MODELS = ("kgpm.cli.model_flags", "kgpm.cli.parts")


def modules() -> dict[str, str]:
    """Source of every module of the package by its dotted name."""
    found = {}
    for path in sorted((ROOT / "kgpm").rglob("*.py")):
        parts = list(path.relative_to(ROOT).with_suffix("").parts)
        if parts[-1] == "__init__":
            parts.pop()
        found[".".join(parts)] = path.read_text(encoding="utf-8")
    return found


def imports(module: str, source: str, known: set[str]) -> list[str]:
    """Dotted names that a module imports, wherever in its source.

    `from kgpm import ops` is an import of `kgpm.ops`, and `from kgpm.ops
    import nelbo` one of `kgpm.ops`.
    """
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                raise AssertionError(
                    f"{module}: relative import in line {node.lineno}"
                )
            for alias in node.names:
                full = f"{base}.{alias.name}"
                names.append(full if full in known else base)
    return names


def floor(module: str) -> str:
    """The floor of a module of the package, `""` for the package itself."""
    return module.split(".")[1] if "." in module else ""


def height(name: str) -> int:
    if name in FLOORS:
        return FLOORS.index(name)
    if name in PROGRAMS:
        return len(FLOORS)
    raise AssertionError(f"kgpm.{name} has no floor: give it one above")


def violations(module: str, source: str, known: set[str]) -> list[str]:
    """What is wrong with the imports of one module, a line each."""
    mine = floor(module)
    wrong = []
    for name in imports(module, source, known):
        top = name.split(".")[0]
        if top in TENSORFLOW:
            if mine in PORTABLE and module not in USES_TENSORFLOW:
                wrong.append(f"{module} imports {name}")
            continue
        if top != "kgpm":
            continue
        theirs = floor(name)
        if not mine:
            # The package itself stays light.
            if theirs not in ("", "errors", "onednn"):
                wrong.append(f"{module} imports {name}")
        elif theirs == mine and mine in FLOORS:
            continue
        elif (mine, theirs) in STRANGERS:
            wrong.append(f"{module} imports {name}")
        elif theirs and height(theirs) >= height(mine):
            wrong.append(f"{module} imports {name}")
    return wrong


def branches(source: str, names: set[str]) -> list[int]:
    """Lines that compare with, look up or match a name of a model or its class.

    A name as the argument of a call is no branch (a flag's default is one); a
    class is, wherever it stands.
    """
    lines = set()
    for node in ast.walk(ast.parse(source)):
        suspects: list[ast.AST | None] = []
        if isinstance(node, ast.Compare):
            suspects = [node.left, *node.comparators]
        elif isinstance(node, ast.MatchValue):
            suspects = [node.value]
        elif isinstance(node, ast.Dict):
            suspects = list(node.keys)
        elif isinstance(node, ast.Subscript):
            suspects = [node.slice]
        elif isinstance(node, ast.Call) and isinstance(
            node.func, ast.Attribute
        ):
            if node.func.attr in ("startswith", "endswith"):
                suspects = list(node.args)
        elif isinstance(node, ast.Name) and node.id in names:
            lines.add(node.lineno)
        elif isinstance(node, ast.Attribute) and node.attr in names:
            lines.add(node.lineno)
        elif isinstance(node, ast.alias) and node.name in names:
            lines.add(node.lineno)
        for suspect in filter(None, suspects):
            for leaf in ast.walk(suspect):
                if isinstance(leaf, ast.Constant) and leaf.value in names:
                    lines.add(leaf.lineno)
    return sorted(lines)


MODULES = modules()


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_go_down(module):
    assert violations(module, MODULES[module], set(MODULES)) == []


@pytest.mark.parametrize("module", sorted(USES_TENSORFLOW))
def test_every_exception_is_still_needed(module):
    assert module in MODULES
    tops = {
        name.split(".")[0]
        for name in imports(module, MODULES[module], set(MODULES))
    }
    assert tops & set(TENSORFLOW)


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_program_exists(program):
    assert f"kgpm.{program}" in MODULES


@pytest.mark.parametrize(
    "module",
    sorted(
        m
        for m in MODULES
        if floor(m)
        in ("evaluation", "pictures", "training", "serving", "cli", *PROGRAMS)
        and m not in NAMES_MODELS
    ),
)
def test_nothing_above_the_models_branches_on_one(module):
    from kgpm import models

    names = set(models.MODELS)
    names |= {cls.__name__ for cls in models.MODELS.values()}
    assert names
    assert branches(MODULES[module], names) == []


KNOWN = {"kgpm", "kgpm.errors", "kgpm.ops", "kgpm.ops.bounds", "kgpm.models"}


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("kgpm.ops.bounds", "from kgpm.layers import Draw"),
        ("kgpm.ops.bounds", "import kgpm.models"),
        ("kgpm.ops.bounds", "from kgpm import models"),
        ("kgpm.errors", "import kgpm.ops"),
        ("kgpm.models.gpm", "def f():\n    from kgpm.data import episodes"),
        ("kgpm.data.episodes", "from kgpm.models import GPM"),
        ("kgpm.evaluation.report", "from kgpm.cli import flags"),
        ("kgpm.cli.main", "from kgpm.train import main"),
        ("kgpm.train", "from kgpm.evaluate import main"),
        ("kgpm.layers.memory", "import tensorflow as tf"),
        ("kgpm.models.gpm", "from tensorflow import linalg"),
        ("kgpm.ops.bounds", "import tensorflow_probability as tfp"),
        ("kgpm", "from kgpm import models"),
    ],
)
def test_a_planted_violation_is_found(module, source):
    assert len(violations(module, source, KNOWN)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("kgpm.models.gpm", "from kgpm.layers import Draw\nimport keras"),
        ("kgpm.models.gpm", "from kgpm.models.latent_model import LatentModel"),
        ("kgpm.ops.bounds", "from kgpm.errors import UserError"),
        ("kgpm.data.episodes", "import tensorflow as tf"),
        ("kgpm.train", "from kgpm.cli.main import run"),
        ("kgpm.layers.memory", "from kgpm import __version__"),
        ("kgpm", "from kgpm.errors import UserError"),
    ],
)
def test_what_is_allowed_passes(module, source):
    assert violations(module, source, KNOWN) == []


def test_a_package_without_a_floor_is_refused():
    with pytest.raises(AssertionError, match="kgpm.attic has no floor"):
        violations("kgpm.evaluation.report", "import kgpm.attic", KNOWN)


def test_a_relative_import_is_refused():
    with pytest.raises(AssertionError, match="relative import"):
        violations("kgpm.ops.bounds", "from . import gaussian", KNOWN)


@pytest.mark.parametrize(
    "source",
    [
        "if values.model == 'gpm': pass",
        "if name in ('vma', 'gpm'): pass",
        "match name:\n    case 'gpm': pass",
        "steps = {'gpm': 3}",
        "steps = table['gpm']",
        "if name.startswith('gpm'): pass",
        "if isinstance(model, GPM): pass",
        "if isinstance(model, models.GPM): pass",
        "from kgpm.models import GPM",
    ],
)
def test_a_planted_branch_is_found(source):
    assert branches(source, {"gpm", "vma", "GPM"})


def test_a_default_is_no_branch():
    source = "string('model', 'gpm', 'Name of the model.')\nget(values.model)"
    assert branches(source, {"gpm", "GPM"}) == []
