import numpy as np
import pytest
import tensorflow as tf

from kgpm.data import load_images
from kgpm.errors import UserError


def write(path, image, encode=tf.io.encode_png):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(tf.constant(image)).numpy())


def numbered(count, side=4):
    return [np.full((side, side, 1), 3 * i, np.uint8) for i in range(count)]


@pytest.fixture
def folder(tmp_path):
    for i, image in enumerate(numbered(40)):
        write(tmp_path / f"class{i % 3}" / f"{i:02}.PNG", image)
    (tmp_path / "notes.txt").write_text("not an image")
    return tmp_path


def test_a_flat_folder_is_split_80_10_10(folder):
    parts = [
        load_images(folder, split).images[:, 0, 0, 0]
        for split in ("train", "validation", "test")
    ]
    assert [len(part) for part in parts] == [32, 4, 4]
    np.testing.assert_array_equal(
        np.sort(np.concatenate(parts)), 3 * np.arange(40)
    )


def test_split_folders_are_used(tmp_path):
    for i, image in enumerate(numbered(30)):
        write(tmp_path / ("train" if i < 20 else "test") / f"{i}.png", image)
    train, validation, test = (
        set(load_images(str(tmp_path), split).images[:, 0, 0, 0].tolist())
        for split in ("train", "validation", "test")
    )
    assert (len(train), len(validation)) == (18, 2)
    assert train | validation == set(range(0, 60, 3))
    assert test == set(range(60, 90, 3))


def test_a_validation_folder_is_used(tmp_path):
    for i, image in enumerate(numbered(3)):
        for split in ("train", "validation"):
            write(tmp_path / split / f"{i}.png", image)
    for split in ("train", "validation"):
        assert len(load_images(tmp_path, split)) == 3
    with pytest.raises(UserError, match="sub-folder 'test'"):
        load_images(tmp_path, "test")


def test_every_format_decodes(tmp_path):
    from PIL import Image

    image = np.full((6, 6, 3), (200, 100, 50), np.uint8)
    rgba = np.concatenate([image, np.full((6, 6, 1), 255, np.uint8)], -1)
    test = tmp_path / "test"
    test.mkdir()
    for name in ("a.png", "b.jpg", "c.jpeg", "d.bmp", "e.gif"):
        Image.fromarray(image).save(test / name)
    Image.fromarray(rgba).save(test / "f.png")
    Image.fromarray(image[..., 0]).save(test / "g.png")
    Image.fromarray(image[..., 0]).save(test / "h.bmp")
    loaded = load_images(tmp_path, "test")
    assert loaded.images.shape == (8, 6, 6, 3)
    for i in range(6):
        np.testing.assert_allclose(loaded.images[i], image, atol=2)
    np.testing.assert_array_equal(loaded.images[6:], 200)


def test_images_of_several_sizes_need_a_size(tmp_path):
    write(tmp_path / "test" / "a.png", numbered(2)[1])
    write(tmp_path / "test" / "b.png", np.full((9, 7, 1), 9, np.uint8))
    with pytest.raises(UserError, match=r"b\.png has 9x7; pass --image_size"):
        load_images(tmp_path, "test")
    loaded = load_images(tmp_path, "test", image_size=5, channels=3)
    assert loaded.image_shape == (5, 5, 3)
    np.testing.assert_array_equal(loaded.images[1], 9)


def test_a_corrupt_image_is_named(folder):
    broken = folder / "class1" / "broken.png"
    broken.write_bytes((folder / "class1" / "01.PNG").read_bytes()[:40])
    with pytest.raises(UserError, match=r"class1/broken\.png cannot be"):
        for split in ("train", "validation", "test"):
            load_images(folder, split)


def test_a_corrupt_first_image_is_named(folder):
    broken = folder / "class0" / "00.PNG"
    broken.write_bytes(b"no image")
    with pytest.raises(UserError, match=r"class0/00\.PNG cannot be"):
        load_images(folder)


def test_missing_and_empty_folders(tmp_path):
    with pytest.raises(UserError, match="found none"):
        load_images(tmp_path)
    with pytest.raises(UserError, match="nowhere does not exist"):
        load_images(tmp_path / "nowhere")
    with pytest.raises(UserError, match="Did you mean 'imagenet_resized/32x32"):
        load_images("imagenet_resized/64x64")
