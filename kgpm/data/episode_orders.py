"""Which images form the episodes of an epoch, as tables of indices."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from kgpm.data.classes import classes_of
from kgpm.data.image_set import ImageSet
from kgpm.errors import UserError
from kgpm.ops import split_seed
from kgpm.ops import uniform


class EpisodeOrder(NamedTuple):
    """The episodes of an epoch, in an order that a seed decides.

    Attributes:
        num_episodes: E, the same in every epoch.
        padded: whether some place of some episode may be empty.
        draw: from a seed `int32[2]` to indices of images `int32 [E, T]`, each
            at most once, -1 where there is none.
    """

    num_episodes: int
    padded: bool
    draw: Callable[[tf.Tensor], tf.Tensor]


def order_of_any_class(
    num: int, episode_length: int, batch_size: int, shuffle: bool
) -> EpisodeOrder:
    """All of `num` images in one order, cut into episodes.

    If they fill a batch and are shuffled, the episodes that do not fill
    another are left out; else all are there, and the last one is padded.
    """
    num_episodes = math.ceil(num / episode_length)
    if shuffle and num >= episode_length * batch_size:
        num_episodes = num // (episode_length * batch_size) * batch_size
    missing = num_episodes * episode_length - num

    def draw(seed: tf.Tensor) -> tf.Tensor:
        order = _shuffled(tf.range(num), seed)
        if missing > 0:
            order = tf.pad(order, [[0, missing]], constant_values=-1)
        order = order[: num_episodes * episode_length]
        return tf.reshape(order, [num_episodes, episode_length])

    return EpisodeOrder(num_episodes, missing > 0, draw)


def order_by_class(
    image_set: ImageSet,
    episode_length: int,
    batch_size: int,
    shuffle: bool,
    classes_per_episode: int,
) -> EpisodeOrder:
    """Episodes of T / C images of each of C classes, in mixed order.

    The images of a class form groups of T / C. The groups of all classes, one
    class after the other, are laid out in C rows of E episodes: no class has
    more than E, so that those of one class can all be in different episodes.

    Shuffled, groups are whole and E is the most that they fill (of which those
    that do not fill a batch are left out, if one is filled); else every image
    is in a group, and E is the least that holds them.

    Raises:
        UserError: no labels, too few classes, T is no multiple of C, or
            shuffled and a class with less than T / C images.
    """
    class_of, counts = classes_of(
        image_set, "classes_per_episode", classes_per_episode
    )
    group_size, rest = divmod(episode_length, classes_per_episode)
    if rest:
        raise UserError(
            "Expected episode_length to be a multiple of classes_per_episode "
            f"{classes_per_episode}, received {episode_length}; change one "
            "of them."
        )
    if shuffle and counts.min() < group_size:
        raise UserError(
            "Expected at least episode_length / classes_per_episode = "
            f"{group_size} images of each class, received a class of "
            f"{counts.min()} in {image_set.name} {image_set.split}; shorten "
            "the episodes or put more classes into one."
        )
    if shuffle:
        groups = counts // group_size
        num_episodes = _num_filled(groups, classes_per_episode)
        if num_episodes >= batch_size:
            num_episodes -= num_episodes % batch_size
    else:
        groups = -(-counts // group_size)
        filled = math.ceil(groups.sum() / classes_per_episode)
        num_episodes = max(int(groups.max()), filled)
    groups = np.minimum(groups, num_episodes)
    num_places = num_episodes * classes_per_episode

    def draw(seed: tf.Tensor) -> tf.Tensor:
        class_seed, image_seed, row_seed, place_seed = split_seed(seed, 4)
        classes = _shuffled(tf.range(len(counts)), class_seed)
        rank_of = tf.math.invert_permutation(classes)
        # Images class by class, in a new order within each.
        image = _shuffled(tf.range(len(class_of)), image_seed)
        rank = tf.gather(rank_of, tf.gather(class_of, image))
        by_rank = tf.argsort(rank, stable=True)
        image, rank = tf.gather(image, by_rank), tf.gather(rank, by_rank)
        first = tf.cumsum(tf.gather(counts, classes), exclusive=True)
        number = tf.range(len(class_of)) - tf.gather(first, rank)
        group, member = number // group_size, number % group_size
        sizes = tf.gather(groups, classes)
        ends = tf.cumsum(sizes)
        place = tf.gather(ends - sizes, rank) + group
        used = (group < tf.gather(sizes, rank)) & (place < num_places)
        image, place, member = (
            tf.boolean_mask(values, used) for values in (image, place, member)
        )
        episode_of = _episodes_of_groups(
            ends - sizes, ends, num_episodes, classes_per_episode, row_seed
        )
        row = place // num_episodes
        where = tf.stack(
            [tf.gather(episode_of, place), row * group_size + member], axis=1
        )
        shape = [num_episodes, episode_length]
        order = tf.tensor_scatter_nd_update(tf.fill(shape, -1), where, image)
        # The classes of an episode are mixed, and what is empty comes last.
        keys = uniform(shape, place_seed) + tf.cast(order < 0, tf.float32)
        return tf.gather(order, tf.argsort(keys), batch_dims=1)

    padded = num_episodes * episode_length > len(class_of)
    return EpisodeOrder(num_episodes, padded, draw)


def _num_filled(groups: np.ndarray, num_classes: int) -> int:
    """The most episodes that groups of so many classes each can fill."""
    num_episodes = int(groups.sum()) // num_classes
    while True:
        # An episode takes one group of a class at most.
        enough = int(np.minimum(groups, num_episodes).sum()) // num_classes
        if enough >= num_episodes:
            return num_episodes
        num_episodes = enough


def _episodes_of_groups(
    starts: tf.Tensor,
    ends: tf.Tensor,
    num_episodes: int,
    num_rows: int,
    seed: tf.Tensor,
) -> tf.Tensor:
    """The episode `[C * E]` of each place in C rows of E.

    Each row goes through the episodes in an order of its own, so that classes
    meet by chance. Only a class that runs over the end of a row is in two of
    them; what it has in the second goes to episodes not yet with it.

    Args:
        starts: first place of each class `[K]`, ascending.
        ends: the place behind its last, at most E further.
        num_episodes: E.
        num_rows: C.
        seed: `int32[2]`.
    """
    first_seed, *seeds = split_seed(seed, 2 * num_rows - 1)
    row = _shuffled(tf.range(num_episodes), first_seed)
    rows = [row]
    for index in range(1, num_rows):
        border = index * num_episodes
        # The class of the place at the border; the last, if it is empty.
        crossing = tf.reduce_sum(tf.cast(ends[:-1] <= border, tf.int32))
        before = tf.clip_by_value(border - starts[crossing], 0, num_episodes)
        after = tf.clip_by_value(ends[crossing] - border, 0, num_episodes)
        free = _shuffled(row[: num_episodes - before], seeds.pop())
        others = tf.concat([free[after:], row[num_episodes - before :]], axis=0)
        row = tf.concat([free[:after], _shuffled(others, seeds.pop())], axis=0)
        rows.append(row)
    return tf.concat(rows, axis=0)


def _shuffled(values: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    return tf.random.experimental.stateless_shuffle(values, seed=seed)
