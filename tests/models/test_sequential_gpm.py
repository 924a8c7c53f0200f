"""GPM's read beside a memory that is written in order and has a density."""

import numpy as np
import pytest
import tensorflow as tf

from kgpm import UserError
from kgpm import ops
from kgpm.models import SequentialGPM

from .conftest import SMALL
from .conftest import untouched


@pytest.fixture
def model():
    return untouched("sequential_gpm")


def test_a_read_projects_on_the_mean_of_the_memory(model, images):
    memory, codes = model.write(images), model.encode(images)
    mean = memory["mean"].numpy().astype("float64")
    latents = codes.numpy() @ np.linalg.pinv(mean) @ mean
    np.testing.assert_allclose(
        model.mean_latents(codes, memory), latents, atol=2e-3
    )
    logits = model.decode(tf.constant(latents, "float32"))
    np.testing.assert_allclose(
        model.read(images, memory), tf.sigmoid(logits), atol=2e-3
    )


def test_a_draw_sees_the_memory_that_was_drawn(model, images):
    """Without the noise of p(z | w, M) it lies in its rows."""
    memory = model.write(images)
    latents = model.sample_latents(model.encode(images), memory, 3).latents
    _, noise_seed, memory_seed = ops.split_seed(ops.make_seed(3), 3)
    latents -= 0.5 * ops.normal(latents.shape, noise_seed, "float32")
    rows = model.memory.draw(memory, memory_seed)["mean"].numpy()
    projector = np.linalg.pinv(rows.astype("float64")) @ rows
    np.testing.assert_allclose(latents @ projector, latents, atol=1e-3)
    outside = latents @ np.linalg.pinv(memory["mean"]) @ memory["mean"]
    assert np.abs(outside - latents).max() > 1e-2


def test_the_order_of_the_images_matters(model, images):
    assert model.depends_on_order
    memory = model.write(images)
    shuffled = model.write(images[:, [3, 1, 4, 0, 2]])
    assert np.abs(memory["mean"] - shuffled["mean"]).max() > 1e-3


def test_the_memory_is_paid_for(model, images):
    assert model.monitor == "nelbo_full"
    assert model.term_names == ("nll", "kl_w", "kl_memory")
    free = SequentialGPM(memory_size=4, memory_kl_weight=0.0, **SMALL)
    assert free.kl_weights == {"kl_memory": 0.0}
    assert free.monitor == "nelbo"


def test_it_does_not_stream(model, images):
    with pytest.raises(UserError, match="writes add up.*SequentialMemory"):
        model.update(images)


def test_as_many_rows_as_dimensions_are_refused():
    with pytest.raises(UserError, match="memory_size < code_size"):
        SequentialGPM(memory_size=10, **SMALL)
