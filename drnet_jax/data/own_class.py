"""A data set of the user's own: a class that the settings name as `module:Class`."""

import importlib
import inspect
import os
import re
import sys

from drnet_jax.data.preparation.builder import Card, ClipBuilder

FORM = "<module>:<class>"
"""What error messages say of the names that `load` takes."""


def is_own(name: str) -> bool:
    """Returns whether `name`, a value of `config.data.name`, has the form of a user's class."""
    return re.fullmatch(r"[^\W\d]\w*(\.\w+)*:[^\W\d]\w*", name) is not None


def load(name: str) -> type[ClipBuilder]:
    """Returns the class `name`, such as `my_clips:MyClips`, from the current folder or installed.

    Raises:
      ValueError: there is no such module or class, it cannot be imported, or the class lacks
        something that a data set must have.
    """
    module_name, _, class_name = name.partition(":")
    where = f"config.data.name={name!r}"
    folder = os.getcwd()  # noqa: PTH109, as on the list of folders that are searched.
    # `python -m` has the current folder on that list, an installed command has not.
    sys.path.insert(0, folder)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name == module_name.split(".")[0]
        if missing:
            reason = f"there is no module {module_name!r} in {folder}, and none is installed"
        else:
            reason = f"{module_name} cannot be imported: {type(error).__name__}: {error}"
        raise ValueError(f"{where}: {' '.join(reason.split())}.") from error
    finally:
        sys.path.remove(folder)
    found = getattr(module, class_name, None)
    if not inspect.isclass(found):
        place = getattr(module, "__file__", None) or module_name  # Built-in modules have no file.
        raise ValueError(f"{where}: {place} has no class {class_name!r}.")
    if not issubclass(found, ClipBuilder):
        raise ValueError(f"{where}: {class_name} is no subclass of ClipBuilder; see docs/data.md.")
    lacking = sorted(found.__abstractmethods__)
    lacking += [] if isinstance(getattr(found, "CARD", None), Card) else ["CARD"]
    if lacking:
        raise ValueError(f"{where}: {class_name} lacks {', '.join(lacking)}; see docs/data.md.")
    return found
