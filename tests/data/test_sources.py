import subprocess
import sys

import pytest

import kgpm.data
from kgpm.data import sources
from kgpm.errors import UserError


def test_a_typo_gets_a_suggestion():
    with pytest.raises(UserError, match="Did you mean 'fashion_mnist'"):
        sources.get_source("fashion_minst")


def test_a_far_name_gets_the_list():
    with pytest.raises(UserError, match="omniglot_burda, cifar10") as error:
        sources.get_source("zzz")
    assert "Did you mean" not in str(error.value)


def test_sources_and_corruptions_are_listed_without_tensorflow():
    code = (
        "import sys, kgpm.data; assert 'digits' in kgpm.data.SOURCES; "
        "assert 'block' in kgpm.data.CORRUPTIONS; "
        "assert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_public_names_resolve_in_any_order():
    for name in reversed(kgpm.data.__all__):
        assert getattr(kgpm.data, name) is not None
    assert callable(kgpm.data.episodes)
    assert callable(kgpm.data.load_images)
    with pytest.raises(AttributeError, match="nothing"):
        _ = kgpm.data.nothing
