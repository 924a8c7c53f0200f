"""Images and their likelihood, which all models share."""

import inspect
from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from kgpm import likelihoods
from kgpm.errors import UserError
from kgpm.layers import check_image_shape
from kgpm.models.bound_model import BoundModel
from kgpm.models.bound_model import unpack_batch

_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class ImageModel(BoundModel):
    """Base of the models that bound the likelihood of images.

    Args:
        image_shape: `(H, W, C)`.
        likelihood: a `kgpm.likelihoods.Likelihood` or its name.
        **kwargs: of `keras.Model`.
    """

    # Whether images are written into a memory. Where they are not, each image
    # stands alone, and `write` says so.
    has_memory = False

    def __init__(
        self, image_shape: tuple, likelihood: Any, **kwargs: Any
    ) -> None:
        # Each layer has a policy of its own. In that of the model, Keras
        # would cast the memory's algebra too, in `model(images)` alone.
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.policy_of_layers = keras.config.dtype_policy().name
        self.image_shape = check_image_shape(image_shape)
        self.likelihood = likelihoods.get(likelihood)

    @classmethod
    def constructor_arguments(cls) -> dict[str, Any]:
        """The arguments of the constructor, each with its default.

        `**kwargs` are those of the base, as far as that one stands without
        arguments. Where it does not, a subclass says what it is given, and
        what is left is Keras's.
        """
        arguments: dict[str, Any] = {}
        for owner in cls.__mro__:
            if "__init__" not in vars(owner):
                continue
            _, *named = inspect.signature(
                vars(owner)["__init__"]
            ).parameters.values()
            kinds = {parameter.kind for parameter in named}
            defaults = {
                parameter.name: parameter.default
                for parameter in named
                if parameter.kind not in _VARIADIC
            }
            if arguments and inspect.Parameter.empty in defaults.values():
                break
            arguments = {**defaults, **arguments}
            if inspect.Parameter.VAR_KEYWORD not in kinds:
                break
        return arguments

    def fit(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """`keras.Model.fit`, after a look at the first batches' pixels.

        Grey pixels under a Bernoulli likelihood train without complaint, but
        their "bound" is none. A generator or a `PyDataset` is taken unseen.

        Raises:
            UserError: pixels that the likelihood cannot score, in the first
                batch of the training or the validation data.
        """
        self._check_first_batch(x)
        self._check_first_batch(kwargs.get("validation_data"))
        if hasattr(x, "element_spec"):
            # The order is the data set's; Keras would warn about it.
            kwargs.setdefault("shuffle", False)
        return super().fit(x, *args, **kwargs)

    def evaluate(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """`keras.Model.evaluate`, after the same look.

        Raises:
            UserError: pixels that the likelihood cannot score.
        """
        # Within `fit`, Keras hands the data over in an iterator of its own.
        self._check_first_batch(x)
        return super().evaluate(x, *args, **kwargs)

    def _check_first_batch(self, data: Any) -> None:
        first = data
        if hasattr(data, "element_spec"):
            first = next(iter(data))
        if hasattr(first, "shape") or isinstance(first, Mapping):
            images, _ = unpack_batch(first)
            self.likelihood.validate(ops.convert_to_numpy(images))

    def check_images(self, images: Any) -> Any:
        """Images as a tensor; a `UserError` for any other shape or T = 0.

        A model without a memory also takes plain images `[N, H, W, C]`.
        """
        images = ops.convert_to_tensor(images)
        shape = tuple(images.shape)
        ranks = (5,) if self.has_memory else (5, 4)
        if (
            len(shape) not in ranks
            or shape[-3:] != self.image_shape
            or shape[1] == 0
        ):
            sides = ", ".join(str(side) for side in self.image_shape)
            plain = "" if self.has_memory else f", or [N, {sides}]"
            raise UserError(
                f"Expected images of shape [B, T, {sides}] with T >= 1{plain}, "
                f"received {list(shape)}."
            )
        return images

    def get_config(self) -> dict:
        config = keras.Model.get_config(self)
        config.update(
            dtype=self.policy_of_layers,
            image_shape=self.image_shape,
            likelihood=keras.saving.serialize_keras_object(self.likelihood),
        )
        return config
