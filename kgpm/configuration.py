"""A mixin: the configuration of an object is what its constructor was given."""

import inspect
from typing import Any

import keras

_PLAIN = (str, int, float, bool, type(None))


class Configured:
    """`get_config` and `from_config` by the constructor's signature.

    Comes before the Keras class among the bases. The configuration has every
    argument of the constructor by its name, those of `**kwargs` among them, as
    it was given or by its default; what is no plain value is serialised, so
    that parts which are objects of Keras are nested.

    A class that adds an argument has it in its configuration at once.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        if super().__new__ is object.__new__:
            instance = super().__new__(cls)
        else:
            instance = super().__new__(cls, *args, **kwargs)
        signature = inspect.signature(cls.__init__)
        try:
            given = signature.bind(instance, *args, **kwargs)
        except TypeError:
            # The constructor itself says which argument is wrong.
            return instance
        given.apply_defaults()
        # Not through `__setattr__`, by which Keras would track the parts in
        # here before those that the constructor stores.
        vars(instance)["_given"] = given
        return instance

    def arguments(self) -> dict[str, Any]:
        """The constructor's arguments by name, as given or by default."""
        given = vars(self)["_given"]
        found = {}
        for name, parameter in list(given.signature.parameters.items())[1:]:
            value = given.arguments[name]
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                found.update(value)
            elif parameter.kind is not inspect.Parameter.VAR_POSITIONAL:
                found[name] = value
        return found

    def get_config(self) -> dict:
        inherited: dict = getattr(super(), "get_config", dict)()
        arguments = {
            name: _serialized(value)
            for name, value in self.arguments().items()
            if name not in inherited
        }
        return {**inherited, **arguments}

    @classmethod
    def from_config(cls, config: dict, custom_objects: Any = None) -> Any:
        return cls(
            **{
                name: keras.saving.deserialize_keras_object(
                    value, custom_objects
                )
                if isinstance(value, dict) and "class_name" in value
                else value
                for name, value in config.items()
            }
        )


def _serialized(value: Any) -> Any:
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, (list, tuple)):
        return [_serialized(each) for each in value]
    return keras.saving.serialize_keras_object(value)
