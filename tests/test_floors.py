"""Imports inside the package only go down."""

import ast
import pathlib

import pytest

PACKAGE = pathlib.Path(__file__).parent.parent / "drnet_jax"

FLOORS = (
    {"base"},
    {"ops", "pictures"},
    {"models", "data"},
    {"training", "interop"},
    {"runs"},
    {"evaluation", "report"},
    {"api"},
    {"demo"},
    {"commands"},
    {"main"},
)
FLOOR_OF = {module: floor for floor, modules in enumerate(FLOORS) for module in modules}


def top(path: pathlib.Path) -> str:
    """Returns the module or subpackage directly in drnet_jax that `path` belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: pathlib.Path) -> set[str]:
    """Returns the modules directly in drnet_jax that the file at `path` imports, lazily too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("drnet_jax.")}


SOURCES = [p for p in sorted(PACKAGE.rglob("*.py")) if p != PACKAGE / "__init__.py"]


def test_every_module_has_a_floor():
    assert {top(path) for path in SOURCES} == set(FLOOR_OF)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_only_go_down(path):
    own = top(path)
    for name in imported(path) - {own, "__version__"}:
        assert FLOOR_OF[name] < FLOOR_OF[own], f"{own} imports {name}"
