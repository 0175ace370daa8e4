"""The documents name files, headings, commands and settings that exist."""

import ast
import functools
import pathlib
import re
import shlex
import tomllib
from typing import Any

import ml_collections
import pytest

import drnet_jax
from drnet_jax.runs import renamed
from tests.conftest import ROOT
from tests.test_configs import load

README = ROOT / "README.md"
CHANGELOG = ROOT / "CHANGELOG.md"
DOCUMENTS = [
    README,
    CHANGELOG,
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "tests" / "golden" / "README.md",
    ROOT / "drnet_jax" / "data" / "moving_mnist" / "embedded_digits" / "README.md",
]
PRESENT = [path for path in DOCUMENTS if path != CHANGELOG]
"""Documents whose names are those of today; the changelog has old ones as well."""

SCRIPTS = [
    ROOT / "drnet_jax" / "main.py",
    *(p for d in ("configs", "experiments", "benchmarks") for p in sorted((ROOT / d).glob("*.py"))),
]
"""Files whose docstring shows how to run them."""

CONFIGS = ("mnist", "norb", "suncg", "kth", "video_folder")
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]

by_path = functools.partial(pytest.mark.parametrize, ids=lambda path: str(path.relative_to(ROOT)))


@functools.cache
def blocks(path: pathlib.Path) -> tuple[str, ...]:
    """Returns the fenced code blocks of a document that hold commands."""
    found = re.findall(r"^```(\w*)\n(.*?)^```", path.read_text(), re.DOTALL | re.MULTILINE)
    return tuple(body for language, body in found if language in ("", "bash"))


@functools.cache
def prose(path: pathlib.Path) -> str:
    """Returns a document without its fenced code blocks."""
    return re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)


def inline_code(path: pathlib.Path) -> list[str]:
    """Returns what a document has between backticks, each on one line."""
    return [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose(path))]


@functools.cache
def anchors(path: pathlib.Path) -> set[str]:
    """Returns the anchors of headings; no link needs those of repeated ones."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.*)$", prose(path), re.MULTILINE):
        text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        found.add(re.sub(r"[^\w\- ]", "", text).strip().replace(" ", "-"))
    return found


def commands(text: str) -> list[list[str]]:
    """Returns the arguments of every command for Python, pip or pytest in `text`."""
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        # What comes after several spaces explains the command.
        line = re.split(r"(?<=\S) {2,}(?=[^\s-])", line.strip())[0]
        for command in re.split(r" && | &$", line):
            if re.match(r"(\S*/)?(python3?|pip|pytest) ", command):
                found.append(shlex.split(command, comments=True))
    return found


@functools.cache
def parse(path: pathlib.Path) -> ast.Module:
    """Returns the syntax tree of a Python file."""
    return ast.parse(path.read_text())


def source_of(module: str) -> pathlib.Path | None:
    """Returns the file of a module of this repository, as `python -m` would run it."""
    path = ROOT.joinpath(*module.split("."))
    files = (path.with_suffix(".py"), path / "__main__.py", path / "__init__.py")
    return next((file for file in files if file.is_file()), None)


@functools.cache
def flags_of(script: pathlib.Path) -> dict[str, set[str] | None]:
    """Returns the flags that a script and the modules beside it that it imports define.

    The values are those of an enumeration, None for other flags.
    """
    top, text = script.relative_to(ROOT).parts[0], script.read_text()
    for module, names in re.findall(rf"^from ({top}[\w.]*) import (.+)$", text, re.MULTILINE):
        for name in (module, *(f"{module}.{name}" for name in names.split(", "))):
            text += file.read_text() if (file := source_of(name)) else ""
    found: dict[str, set[str] | None] = {}
    # Choices are written out or a constant; those of a caller are not checked.
    defined = r'DEFINE_(\w+)\(\s*"(\w+)",[^,]*,\s*(\[[^]]*\]|[A-Z]+\b)?'
    for kind, name, choices in re.findall(defined, text):
        if kind == "bool":
            found |= {name: {"true", "false"}, f"no{name}": {"true"}}
            continue
        if choices.isupper():
            (choices,) = re.findall(rf"^{choices} = (\(.*?\))$", text, re.MULTILINE | re.DOTALL)
        found[name] = set(ast.literal_eval(choices)) if kind == "enum" and choices else None
    # One file stays clear of absl, so that it can be copied.
    return found | dict.fromkeys(re.findall(r'add_argument\("--(\w+)"', text))


@functools.cache
def load_config(argument: str) -> ml_collections.ConfigDict:
    """Returns the settings of `configs/<name>.py:<variant>`."""
    file = re.fullmatch(r"configs/(\w+)\.py:?(\w*)", argument)
    assert file, f"{argument} is no file of configs/."
    return load(*filter(None, file.groups()))


def setting(config: ml_collections.ConfigDict, name: str) -> Any:
    """Returns the value or section with a dotted name; None if there is none."""
    for key in name.split("."):
        if not isinstance(config, ml_collections.ConfigDict) or key not in config:
            return None
        config = config[key]
    return config


def check_setting(config: ml_collections.ConfigDict, name: str, value: str) -> None:
    """Asserts that `config` has the setting with a dotted name, and that it may have `value`."""
    default = setting(config, name)
    assert default is not None, f"There is no config.{name}."
    if isinstance(default, bool | int | float | tuple):
        allowed = (int, float) if isinstance(default, float) else type(default)
        assert isinstance(ast.literal_eval(value), allowed), f"config.{name}={value}"


def check_command(arguments: list[str]) -> None:
    """Asserts that what a command line names exists."""
    program, *rest = arguments
    program = program.rpartition("/")[2]
    if program.startswith("python"):
        assert rest[0] == "-m", f"Not a module: {arguments}"
        program, *rest = rest[1:]
    if program == "pip":
        for name in re.findall(r"\[(\w+)\]", " ".join(rest)):
            assert name in EXTRAS, f"There is no extra {name!r}."
    elif program == "pytest":
        named = [argument.partition("::")[0] for argument in rest if "/" in argument]
        assert all((ROOT / path).exists() for path in named), f"Missing: {named}"
    elif program != "venv":
        check_flags(program, rest)


def check_flags(module: str, arguments: list[str]) -> None:
    """Asserts that a module of this repository has flags and settings of these names."""
    source = source_of(module)
    assert source is not None, f"There is no module {module}."
    known = flags_of(source)
    assert all(argument.startswith("--") for argument in arguments), arguments
    given = dict(argument.removeprefix("--").partition("=")[::2] for argument in arguments)
    config = load_config(given.get("config", "configs/mnist.py"))
    for name, value in given.items():
        if name.startswith("config."):
            check_setting(config, name.removeprefix("config."), value)
        else:
            assert name in known, f"{module} has no flag --{name}."
            assert known[name] is None or value in known[name] or not value, f"--{name}={value}"
    # The only list of names among the flags.
    for name in filter(None, given.get("only", "").split(",")):
        assert source_of(f"experiments.{name}"), f"There is no experiments.{name}."


@by_path("path", DOCUMENTS)
def test_links_and_anchors_resolve(path):
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(path)):
        if link.startswith(("http://", "https://")):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), f"{link}: there is no such file."
        if anchor:
            assert anchor in anchors(target), f"{link}: there is no such heading."


@by_path("path", [*PRESENT, *SCRIPTS])
def test_commands_name_what_exists(path):
    if path in SCRIPTS:
        texts = [ast.get_docstring(parse(path)) or ""]
    else:
        texts = [*blocks(path), *inline_code(path)]
    for text in texts:
        for arguments in commands(text):
            check_command(arguments)


def test_all_kinds_of_commands_are_found():
    texts = [text for path in PRESENT for text in blocks(path)]
    programs = {command[0].rpartition("/")[2] for text in texts for command in commands(text)}
    assert programs >= {"python", "python3", "pip"}
    # README's two commands: make an environment, install, run.
    assert [len(commands(text)) for text in blocks(README) if commands(text)] == [3, 3]


@by_path("path", PRESENT)
def test_inline_code_names_flags_and_settings_that_exist(path):
    flags = {"help", "flagfile"}.union(*(flags_of(script) for script in SCRIPTS))
    configs = [load_config(f"configs/{name}.py") for name in CONFIGS]
    for code in inline_code(path):
        if code.startswith(("gcloud", "srun")):  # These have flags of their own.
            continue
        for name in re.findall(r"(?<!\S)--([a-z_]+)(?![\w.])", code):
            assert name in flags, f"`{code}`: there is no flag --{name}."
        for name in re.findall(r"(?<![\w.])config\.(?!json)([a-z][\w.]*\w)", code):
            known = any(setting(config, name) is not None for config in configs)
            assert known, f"`{code}`: no data set has config.{name}."
        for argument in re.findall(r"(?<![\w/])configs/\w+\.py(?::\w+)?", code):
            load_config(argument)


@by_path("path", PRESENT)
def test_inline_code_names_files_that_exist(path):
    homes = (ROOT, ROOT / "drnet_jax", path.parent)
    for code in inline_code(path):
        if re.fullmatch(r"(\.\./)?[\w./]+(\.py|\.md|/)", code) and "/" in code.rstrip("/"):
            assert any((home / code).exists() for home in homes), f"There is no `{code}`."


def test_documents_that_the_code_names_exist():
    folders = ("drnet_jax", "configs", "experiments", "benchmarks")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    named = {name for path in files for name in re.findall(r"docs/\w+\.md", path.read_text())}
    assert len(named) > 3
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_functions_of_the_tour_exist():
    text = " ".join(prose(ROOT / "docs" / "code.md").split())
    named = re.findall(r"`([\w/]+\.py)` `([\w.]+)`", text)
    assert len(named) > 30
    for file, name in named:
        nodes = ast.walk(parse(ROOT / "drnet_jax" / file))
        defined = {node.name for node in nodes if isinstance(node, ast.ClassDef | ast.FunctionDef)}
        assert set(name.split(".")) <= defined, f"{file} has no {name}."


def test_readme_is_short():
    assert len(README.read_text().splitlines()) <= 120


def folders_of_map() -> list[pathlib.Path]:
    """Returns the folders of README's map of the code."""
    [text] = [b for b in blocks(README) if b.startswith("configs/")]
    found: list[pathlib.Path] = []
    above: list[str] = []
    for indent, name in re.findall(r"^( *)([\w/]+)/ +\S", text, re.MULTILINE):
        above = [*above[: len(indent) // 2], name]
        found.append(ROOT.joinpath(*above))
    assert len(found) == len(text.splitlines()), "Each line names a folder and says what it holds."
    return found


def test_the_map_names_folders_that_exist_and_all_of_the_package():
    assert [str(path) for path in folders_of_map() if not path.is_dir()] == []
    files = (ROOT / "drnet_jax").rglob("*")
    folders = {path.parent for path in files if path.is_file() and "__pycache__" not in path.parts}
    assert folders <= set(folders_of_map())


def test_changelog_has_every_renamed_setting_and_score():
    text = CHANGELOG.read_text()
    pairs = {f"config.{old}": f"config.{new}" for old, new in renamed.SETTINGS.items()}
    for name, values in renamed.VALUES.items():
        pairs |= {f"config.{name}={old}": f"config.{name}={new}" for old, new in values.items()}
    rows = [f"| `{old}` | `{new}` |" for old, new in (pairs | renamed.SCORES).items()]
    assert [row for row in rows if row not in text] == []


def test_citation_is_of_this_version():
    citation = (ROOT / "CITATION.cff").read_text()
    assert re.findall(r"^version: (.*)$", citation, re.MULTILINE) == [drnet_jax.__version__]
    assert "arXiv:1705.10915" in citation and "arxiv.org/abs/1705.10915" in README.read_text()
