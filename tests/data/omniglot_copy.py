"""A small prepared copy of Omniglot."""

import numpy as np
import tensorflow_datasets as tfds


def store_omniglot(folder, num_train, num_test, images_per_class=1):
    """A prepared Omniglot in which the i + 1 left columns of image i are ink.

    The images are in the order of their classes, train before test.
    """
    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(105, 105, 3)),
            "alphabet": tfds.features.ClassLabel(num_classes=50),
            "alphabet_char_id": np.int64,
            "label": tfds.features.ClassLabel(num_classes=1623),
        }
    )

    def example(i):
        image = np.full((105, 105, 3), 255, np.uint8)
        image[:, : i + 1] = 0
        return i, {
            "image": image,
            "alphabet": 0,
            "alphabet_char_id": 0,
            "label": i // images_per_class,
        }

    tfds.dataset_builders.store_as_tfds_dataset(
        name="omniglot",
        version="3.0.0",
        features=features,
        data_dir=str(folder),
        disable_shuffling=True,
        split_datasets={
            "train": [example(i) for i in range(num_train)],
            "test": [
                example(i) for i in range(num_train, num_train + num_test)
            ],
        },
    )
