import os

import pytest

from kgpm import UserError
from kgpm.files import atomic_path
from kgpm.files import copy_file
from kgpm.files import read_json
from kgpm.files import write_text


def test_atomic_path_takes_the_whole_file_or_none(tmp_path):
    path = tmp_path / "file.txt"
    write_text(path, "old")
    with pytest.raises(KeyboardInterrupt):
        with atomic_path(path) as temporary:
            assert temporary.suffix == ".txt"
            temporary.write_text("ne")
            raise KeyboardInterrupt
    assert path.read_text() == "old"
    copy_file(path, tmp_path / "copy.txt")
    assert sorted(os.listdir(tmp_path)) == ["copy.txt", "file.txt"]


def test_damaged_json_is_a_user_error(tmp_path):
    assert read_json(tmp_path / "none.json") is None
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(UserError, match=r"bad\.json is damaged"):
        read_json(tmp_path / "bad.json")
