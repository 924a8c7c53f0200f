"""The networks of VMA: what they share, and precision."""

import numpy as np
import pytest

from kgpm.errors import UserError
from kgpm.layers import AddressEncoder
from kgpm.layers import EntryDecoder

SIZES = {"feature_size": 4, "address_size": 3, "hidden_size": 6}


def images(*leading):
    return np.random.default_rng(1).random((*leading, 26, 26, 1), "float32")


def test_features_and_addresses_have_networks_of_their_own_or_share_one():
    own = AddressEncoder((26, 26, 1), 2, **SIZES)
    assert [each.name for each in own.encoders] == [
        "encoder",
        "address_encoder",
    ]
    before = own(images(2))
    own.encoders[1].dense.bias.assign(np.ones(6))
    after = own(images(2))
    np.testing.assert_array_equal(before["features"], after["features"])
    assert np.any(before["addresses"] != after["addresses"])
    shared = AddressEncoder((26, 26, 1), 2, **SIZES, share_encoder=True)
    before = shared(images(2))
    assert len(shared.encoders) == 1
    shared.encoders[0].dense.bias.assign(np.ones(6))
    after = shared(images(2))
    for name in ("features", "addresses"):
        assert np.any(before[name] != after[name])


def test_images_pass_in_full_precision():
    encoder = AddressEncoder((26, 26, 1), 2, **SIZES, dtype="mixed_bfloat16")
    given = images(2, 3)
    codes = encoder(given)
    np.testing.assert_array_equal(codes["images"], given)
    assert codes["features"].dtype == codes["addresses"].dtype == "float32"
    assert {skip.dtype.name for skip in codes["skips"]} == {"bfloat16"}


def test_an_image_is_decoded_from_an_entrys_code():
    encoder = AddressEncoder((26, 26, 1), 2, **SIZES)
    decoder = EntryDecoder((26, 26, 1), 5, 4, 3, width=2, context_size=7)
    codes = encoder(images(2, 3))
    parameters = decoder({"z": np.zeros((2, 3, 5), "float32"), **codes})
    assert parameters.shape == (2, 3, 26, 26, 3)
    alone = decoder(
        {
            "z": np.zeros((1, 5), "float32"),
            "features": codes["features"][1, 2:],
            "skips": [skip[1, 2:] for skip in codes["skips"]],
        }
    )
    np.testing.assert_allclose(alone[0], parameters[1, 2], atol=1e-5)


def test_bad_sizes_are_refused():
    with pytest.raises(UserError, match="hidden_size of at least 1, received"):
        AddressEncoder((26, 26, 1), hidden_size=0)
    with pytest.raises(UserError, match="context_size of at least 1, received"):
        EntryDecoder((26, 26, 1), 5, 4, 3, context_size=0)
