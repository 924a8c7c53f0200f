"""Pictures and the projector of a training model."""

import random

import matplotlib.image
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing import event_accumulator

from kgpm import ops
from kgpm.data import make_corruption
from kgpm.errors import UserError
from kgpm.models import GPM
from kgpm.training.callbacks.image_logger import ImageLogger
from kgpm.training.callbacks.memory_projector import MemoryProjector
from tests.models.conftest import make
from tests.models.conftest import memory_of
from tests.models.conftest import three_episodes
from tests.models.conftest import untouched

CORRUPT = make_corruption("salt_and_pepper", 0.2, binary=True)


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return rng.integers(0, 2, (4, 5, 8, 8, 1)).astype("float32")


def train(images, callbacks):
    """Two epochs of two steps; the weights after them."""

    random.seed(0)
    model = GPM(image_shape=(8, 8, 1), memory_size=4, code_size=6, width=4)
    model.compile("adam", seed=1)
    dataset = tf.data.Dataset.from_tensor_slices(images).batch(2)
    model.fit(dataset, epochs=2, verbose=0, shuffle=False, callbacks=callbacks)
    return model


@pytest.fixture(scope="module")
def trained(images, tmp_path_factory):
    logs = tmp_path_factory.mktemp("logs")
    callbacks = [
        ImageLogger(
            logs / "images",
            images[0],
            CORRUPT,
            every=2,
            num_steps=3,
            num_rows=2,
        ),
        MemoryProjector(logs / "images", images[0]),
    ]
    return train(images, callbacks), logs


@pytest.mark.slow
def test_pictures_of_the_epochs_asked_for(trained):
    _, logs = trained
    events = event_accumulator.EventAccumulator(
        str(logs / "images"), size_guidance={"tensors": 0}
    )
    events.Reload()
    tags = events.Tags()["tensors"]
    assert sorted(tags) == ["denoising", "generation", "reconstructions"]
    for tag in tags:
        records = events.Tensors(tag)
        # Pictures in the first of every two epochs, and of the result.
        assert [record.step for record in records] == [1, 2]
        width, height, png = records[0].tensor_proto.string_val
        picture = tf.io.decode_png(png).numpy()
        assert picture.shape == (int(height), int(width), 3)
        cell = 8 * 9
        rows = {"denoising": 2, "generation": 2, "reconstructions": 2}[tag]
        assert rows * cell < picture.shape[0] < (rows + 1) * cell


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gpm", "kpp", "memory_vae"])
def test_pictures_are_what_the_model_reads(name, tmp_path, monkeypatch):
    """As its own methods read, denoise and generate."""
    drawn = []
    monkeypatch.setattr(
        "kgpm.pictures.drawing.draw_sheet",
        lambda rows, **_: drawn.append(rows) or np.zeros((9, 9, 3), "uint8"),
    )
    model = untouched(name)
    model.compile("adam")
    images = three_episodes()[:1]
    callback = ImageLogger(
        tmp_path, images[0], CORRUPT, num_steps=3, num_rows=2, seed=5
    )
    callback.set_model(model)
    callback.on_train_begin()
    callback.on_epoch_end(0)
    corrupt_seed, seed = ops.split_seed(5, 2)
    memory = memory_of(model, images, seed=seed)
    queries = CORRUPT(images[:, :2], corrupt_seed)
    denoised = model.denoise(queries, memory, 3)[0]
    read = model.read(images, memory)[0]
    assert len(drawn) == 2 + model.memory.has_prior
    reconstructions, denoising, *generation = drawn
    np.testing.assert_allclose(reconstructions[1], read, atol=1e-5)
    for row in (0, 1):
        np.testing.assert_allclose(denoising[row][0], images[0, row])
        np.testing.assert_allclose(denoising[row][1], queries[0, row])
        np.testing.assert_allclose(
            denoising[row][2:], denoised[:, row], atol=1e-5
        )
    for rows in generation:
        samples = model.generate(memory, 2, 3, seed)[0]
        np.testing.assert_allclose(rows[1][:-1], samples[:, 1], atol=1e-5)


@pytest.mark.slow
def test_diagnostics_are_scalars_beside_the_pictures(images, tmp_path):
    model = make("kpp_dense")
    model.compile("adam", seed=1)
    dataset = tf.data.Dataset.from_tensor_slices(images).batch(2)
    callback = ImageLogger(tmp_path, images[0], CORRUPT, num_steps=1)
    model.fit(dataset, verbose=0, callbacks=[callback])
    events = event_accumulator.EventAccumulator(str(tmp_path))
    events.Reload()
    expected = model.memory.diagnostics(
        model.encode(images[:1]), model.write(images[:1])
    )
    assert expected
    for name, value in expected.items():
        (record,) = events.Tensors(f"diagnostics/{name}")
        logged = tf.make_ndarray(record.tensor_proto)
        np.testing.assert_allclose(logged, value, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_training_is_the_same_with_and_without_pictures(trained, images):
    model, _ = trained
    plain = train(images, [])
    for ours, theirs in zip(model.weights, plain.weights, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


@pytest.mark.slow
def test_projector_holds_rows_codes_and_their_pictures(trained, images):
    model, logs = trained
    folder = logs / "images"
    config = (folder / "projector_config.pbtxt").read_text()
    points = np.loadtxt(folder / "memory.tsv", delimiter="\t")
    labels = (folder / "memory_labels.tsv").read_text().splitlines()
    memory = model.write(images[:1])
    rows = np.asarray(model.memory.rows(memory))[0]
    codes = np.asarray(model.encode(images[:1]))[0]
    np.testing.assert_allclose(
        points, np.concatenate([rows, codes]), rtol=1e-4, atol=1e-5
    )
    assert labels == [f"row {i}" for i in range(4)] + [
        f"image {i}" for i in range(5)
    ]
    sprite = matplotlib.image.imread(folder / "memory.png")[..., :3]
    assert sprite.shape == (24, 24, 3)
    # The fifth point is the first image: row 1, column 1 of the 3 x 3 grid.
    np.testing.assert_array_equal(sprite[8:16, 8:16, 0], images[0, 0, ..., 0])
    decoded = model.likelihood.mean(model.decode(model.memory.rows(memory)))
    np.testing.assert_allclose(
        sprite[:8, 8:16, 0], np.asarray(decoded)[0, 1, ..., 0], atol=0.01
    )
    assert 'tensor_path: "memory.tsv"' in config


@pytest.mark.slow
def test_tensorboard_s_projector_shows_the_memory(trained):
    """Asked as its page asks: runs, their embeddings, the points."""
    from tensorboard.backend.event_processing import data_provider
    from tensorboard.backend.event_processing import plugin_event_multiplexer
    from tensorboard.plugins import base_plugin
    from tensorboard.plugins.projector import projector_plugin
    from werkzeug.test import Client

    _, logs = trained
    multiplexer = plugin_event_multiplexer.EventMultiplexer()
    multiplexer.AddRunsFromDirectory(str(logs))
    multiplexer.Reload()
    plugin = projector_plugin.ProjectorPlugin(
        base_plugin.TBContext(
            logdir=str(logs),
            multiplexer=multiplexer,
            data_provider=data_provider.MultiplexerDataProvider(
                multiplexer, str(logs)
            ),
        )
    )
    apps = plugin.get_plugin_apps()

    def get(page, **query):
        response = Client(apps[page]).get("/", query_string=query)
        assert response.status_code == 200, response.text
        return response

    assert get("/runs").json == ["images"]
    (embedding,) = get("/info", run="images").json["embeddings"]
    assert embedding["tensorShape"] == [9, 6]
    query = {"run": "images", "name": embedding["tensorName"]}
    points = np.frombuffer(get("/tensor", **query).data, "float32")
    assert points.shape == (54,)
    assert get("/metadata", **query).text.split("\n")[:2] == ["row 0", "row 1"]
    assert embedding["sprite"]["singleImageDim"] == [8, 8]
    assert get("/sprite_image", **query).data.startswith(b"\x89PNG")


def test_bad_arguments(tmp_path, images):
    with pytest.raises(UserError, match="one episode"):
        ImageLogger(tmp_path, images, CORRUPT)
    with pytest.raises(UserError, match="every of at least 1"):
        ImageLogger(tmp_path, images[0], CORRUPT, every=0)
    assert list(tmp_path.iterdir()) == []
