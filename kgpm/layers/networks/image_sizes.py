"""The sizes an image passes through between pixels and code."""

from kgpm.errors import UserError

# Maps of at most this side are flattened into the code.
_SMALLEST_MAP = 5


def encoder_sizes(size: int, num_scales: int) -> list[int]:
    """Sides after each 4x4 stride-2 convolution with 2 pixels of padding.

    28 gives 28, 15, 8, 5; 32 gives 32, 17, 9, 5.
    """
    sizes = [size]
    for _ in range(num_scales):
        sizes.append(sizes[-1] // 2 + 1)
    return sizes


def decoder_sizes(size: int, num_scales: int) -> list[int]:
    """Sides of the decoder's maps, smallest first.

    28 gives 4, 8, 15, 28 (the GPM decoder); 32 gives 5, 9, 17, 32.
    """
    sizes = [size]
    for _ in range(num_scales):
        last = sizes[-1]
        sizes.append(last // 2 + 1 if last > 8 else max(last // 2, 1))
    return sizes[::-1]


def num_scales(size: int) -> int:
    """How many halvings bring `size` to a map that is small enough."""
    count = 0
    while encoder_sizes(size, count)[-1] > _SMALLEST_MAP:
        count += 1
    return max(count, 1)


def transposed_kernel(small: int, large: int) -> tuple[int, int]:
    """Kernel and crop of a stride-2 transposed convolution.

    A "valid" one gives 2 (small - 1) + kernel, of which `crop` is taken off
    each side: 15 to 28 is kernel 4, crop 2; 8 to 15 is kernel 3, crop 1.
    Keras's "same" padding can express neither.
    """
    kernel = 4 if large % 2 == 0 else 3
    crop = (2 * (small - 1) + kernel - large) // 2
    return kernel, crop


def check_image_shape(image_shape: tuple) -> tuple[int, int, int]:
    """`(H, W, C)` as integers, or a `UserError` that says what is wrong."""
    shape = tuple(int(side) for side in image_shape)
    if len(shape) != 3 or min(shape) < 1 or min(shape[:2]) < 4:
        raise UserError(
            "Expected image_shape to be (height, width, channels) with sides "
            f"of at least 4 pixels, received {tuple(image_shape)}."
        )
    return shape


def scale_widths(width: int | list | tuple, count: int) -> list[int]:
    """Channels at each of `count` scales, finest first.

    Args:
        width: one number for all scales, or a list; the last one is repeated
            where the list is shorter.
        count: number of scales.

    Raises:
        UserError: empty list, a number below 1, or more numbers than scales.
    """
    widths = [width] if isinstance(width, int) else list(width)
    if not widths or min(widths) < 1 or len(widths) > count:
        raise UserError(
            f"Expected width to be 1 to {count} positive numbers of "
            f"channels, finest scale first, received {width}."
        )
    return widths + [widths[-1]] * (count - len(widths))
