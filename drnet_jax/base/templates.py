"""Text and pages from the jinja2 templates that lie beside the modules of a package."""

from collections.abc import Callable, Mapping

import jinja2


def load(
    package: str,
    name: str,
    filters: Mapping[str, Callable[..., str]] | None = None,
    *,
    autoescape: bool = False,
) -> jinja2.Template:
    """Returns the template `name` of `package`; rendering raises for a value that is missing.

    `autoescape` is for HTML; other text takes values as they are, such as names of a user's files.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(package, ""),
        autoescape=autoescape,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= filters or {}
    return environment.get_template(name)
