"""The directory of an export: whole versions, found by servers."""

import pytest

from kgpm import UserError
from kgpm.serving import ExportedModel
from kgpm.serving.export.versions import latest_version
from kgpm.serving.export.versions import new_version
from kgpm.serving.export.versions import versions


def test_versions_count_up_and_are_never_overwritten(tmp_path):
    with new_version(tmp_path / "m") as (written, target):
        assert target.name == "1"
        (written / "saved_model.pb").write_text("one")
        # Half of it is no version.
        assert versions(tmp_path / "m") == []
    with new_version(tmp_path / "m", 7) as (written, target):
        (written / "saved_model.pb").write_text("seven")
    assert versions(tmp_path / "m") == [1, 7]
    assert latest_version(tmp_path / "m").name == "7"
    with new_version(tmp_path / "m") as (_, target):
        assert target.name == "8"
    with (
        pytest.raises(UserError, match="never overwritten"),
        new_version(tmp_path / "m", 7),
    ):
        pass
    assert (tmp_path / "m" / "7" / "saved_model.pb").read_text() == "seven"


def test_an_export_that_fails_leaves_nothing(tmp_path):
    with (
        pytest.raises(RuntimeError, match="full disk"),
        new_version(tmp_path) as (written, _),
    ):
        (written / "saved_model.pb").write_text("half")
        raise RuntimeError("full disk")
    assert list(tmp_path.iterdir()) == []


def test_the_faster_of_two_exports_wins(tmp_path):
    with (
        pytest.raises(UserError, match="never overwritten"),
        new_version(tmp_path, 1),
    ):
        with new_version(tmp_path, 1) as (written, _):
            (written / "saved_model.pb").write_text("faster")
    assert (tmp_path / "1" / "saved_model.pb").read_text() == "faster"
    assert versions(tmp_path) == [1]
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("make_folder", "words"),
    [
        (lambda path: None, "holds no export"),
        (lambda path: (path / "1").mkdir(parents=True), "versions there: 1"),
    ],
)
def test_what_is_no_export_is_refused(tmp_path, make_folder, words):
    make_folder(tmp_path / "m")
    with pytest.raises(UserError, match=words):
        ExportedModel(tmp_path / "m")


def test_a_damaged_export_is_refused(tmp_path):
    path = tmp_path / "m" / "1"
    path.mkdir(parents=True)
    (path / "saved_model.pb").write_bytes(b"\0damaged")
    with pytest.raises(UserError, match="could not be loaded"):
        ExportedModel(tmp_path / "m")


def test_a_server_finds_what_it_needs(small_export):
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    text = (small_export / "models.config").read_text()
    message = model_server_config_pb2.ModelServerConfig()
    text_format.Parse(text, message)
    (config,) = message.model_config_list.config
    assert config.name == "small"
    assert config.base_path == "/models/small"
    compose = (small_export / "docker-compose.yml").read_text()
    assert ".:/models/small:ro" in compose
    assert "127.0.0.1:8501:8501" in compose
    # What somebody changed stays.
    (small_export / "models.config").write_text(text + "# mine\n")
    from kgpm.serving.export.server_files import write_server_files

    write_server_files(small_export)
    assert "# mine" in (small_export / "models.config").read_text()
