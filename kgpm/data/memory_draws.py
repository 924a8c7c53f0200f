"""Draws a memory of images for each of many targets."""

import numpy as np

from kgpm.data.classes import Classes


def draw_memories(
    classes: Classes,
    targets: np.ndarray,
    memory_size: int,
    num_classes: int,
    own_images: int | None,
    exact: bool,
    generator: np.random.Generator,
) -> np.ndarray:
    """Draws M different images for each target, without the target.

    Args:
        classes: the images; each class must have enough of them.
        targets: index of each target, `[N]`.
        memory_size: M.
        num_classes: C, the class of the target and C - 1 others.
        own_images: images of the target's class; `None` draws it uniformly
            from 1 to M - C + 1. The others share the rest evenly.
        exact: `False` draws the number of classes of each memory uniformly
            from 1 to the lower of C and M.
        generator: what all is drawn from.

    Returns:
        Indices of images `[N, M]`, in mixed order.
    """
    counts = _draw_counts(
        len(targets), memory_size, num_classes, own_images, exact, generator
    )
    own = classes.of_image[targets]
    others = _draw_different(
        np.full(len(targets), len(classes.counts) - 1),
        num_classes - 1,
        generator,
    )
    # Numbered without the own class, which the shift makes room for.
    others += others >= own[:, np.newaxis]
    drawn_classes = np.concatenate([own[:, np.newaxis], others], axis=1)
    # Images class by class: which place each class begins at, and each has.
    by_class = np.argsort(classes.of_image, kind="stable")
    first = np.cumsum(classes.counts) - classes.counts
    place = np.empty_like(by_class)
    place[by_class] = np.arange(len(by_class))
    available = classes.counts[drawn_classes]
    available[:, 0] -= 1
    member = _draw_different(available.ravel(), counts.max(), generator)
    member = member.reshape(*counts.shape, -1)
    # The target's own place is skipped in the same way.
    target_member = place[targets] - first[own]
    member[:, 0] += member[:, 0] >= target_member[:, np.newaxis]
    used = np.arange(member.shape[-1]) < counts[..., np.newaxis]
    places = (first[drawn_classes][..., np.newaxis] + member)[used]
    memory = by_class[places].reshape(len(targets), memory_size)
    return generator.permuted(memory, axis=1)


def largest_counts(
    memory_size: int, num_classes: int, own_images: int | None, exact: bool
) -> tuple[int, int]:
    """The most images of the own class, and of another, that a draw takes."""
    if not exact:
        return memory_size, memory_size - 1 if num_classes > 1 else 0
    if num_classes == 1:
        return memory_size, 0
    own = own_images or memory_size - num_classes + 1
    rest = memory_size - (own_images or 1)
    return own, -(-rest // (num_classes - 1))


def _draw_counts(
    num: int,
    memory_size: int,
    num_classes: int,
    own_images: int | None,
    exact: bool,
    generator: np.random.Generator,
) -> np.ndarray:
    """Images of each class of a memory, `[N, C]`, the own class first."""
    present = np.full(num, num_classes)
    if not exact:
        most = min(num_classes, memory_size)
        present = generator.integers(1, most, num, endpoint=True)
    if own_images is None:
        own = generator.integers(1, memory_size - present + 1, endpoint=True)
        own = np.where(present == 1, memory_size, own)
    else:
        own = np.full(num, own_images)
    share, extra = np.divmod(memory_size - own, np.maximum(present - 1, 1))
    number = np.arange(num_classes - 1)
    others = share[:, np.newaxis] + (number < extra[:, np.newaxis])
    others *= number < present[:, np.newaxis] - 1
    return np.concatenate([own[:, np.newaxis], others], axis=1)


def _draw_different(
    limits: np.ndarray, width: int, generator: np.random.Generator
) -> np.ndarray:
    """Different integers from 0 to below a row's limit, `[R, width]`.

    They are in random order, so that the first few of a row are a fair draw
    too; what is beyond as many as the limit means nothing.
    """
    drawn = np.empty((len(limits), width), np.int64)
    for column in range(width):
        value = generator.integers(np.maximum(limits - column, 1))
        # The value-th of those that are not drawn yet.
        for earlier in np.sort(drawn[:, :column], axis=1).T:
            value += value >= earlier
        drawn[:, column] = value
    return drawn
