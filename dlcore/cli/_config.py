"""`--config FILE`: the options of a command from a JSON or TOML file, beneath those on the command line."""

import inspect
import json
import tomllib
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args, get_type_hints

from dlcore.errors import DataError, suggest
from dlcore.files import read_bytes

Command = Callable[..., None]


def with_config(commands: Mapping[str, Command], words: Sequence[str]) -> dict[str, Command]:
    """Returns the commands, the one that is called with the defaults that its configuration file gives.

    Args:
        commands: functions by name; those with a parameter `config` take a file.
        words: the command line, which begins with the name of the command.

    Raises:
        DataError: where the file cannot be read, names an option that is not there, or gives one a wrong type.
    """
    command = commands.get(words[0]) if words else None
    file = _named(words)
    if command is None or file is None or "config" not in inspect.signature(command).parameters:
        return dict(commands)
    return {**commands, words[0]: with_defaults(command, options_of(command, file))}


def options_of(command: Command, file: Path) -> dict[str, Any]:
    """Returns the options in a configuration file, by parameter of the command.

    Args:
        command: a function with type hints.
        file: JSON (`.json`) or TOML (`.toml`); its keys are the options' names, with `-` or `_`.

    Raises:
        DataError: names the file and the key, what was expected and what was found.
    """
    hints = {name: hint for name, hint in get_type_hints(command).items() if name not in ("return", "config")}
    options: dict[str, Any] = {}
    for key, value in _read(file).items():
        name = key.replace("-", "_")
        if name not in hints:
            raise DataError(f"{file}: there is no option {key!r}{suggest(name, hints)}")
        if name in options:
            raise DataError(f"{file}: {key}: expected each option once, found it twice, with - and with _")
        if isinstance(value, dict):
            raise DataError(f"{file}: {key}: expected {_words(hints[name])}, found a nested table; options are flat")
        if value is None:  # JSON's way to leave it at the default
            continue
        try:
            options[name] = _converted(value, hints[name])
        except ValueError:
            raise DataError(f"{file}: {key}: expected {_words(hints[name])}, found {value!r}") from None
    return options


def with_defaults(command: Command, defaults: Mapping[str, Any]) -> Command:
    """Returns a command with other defaults; its help shows them."""
    function: Any = command
    parameters = inspect.signature(function).parameters
    positional = [p for p in parameters.values() if p.kind is not p.KEYWORD_ONLY]
    values = tuple(defaults.get(p.name, p.default) for p in positional if p.default is not p.empty)
    copy = types.FunctionType(function.__code__, function.__globals__, function.__name__, values, function.__closure__)
    copy.__kwdefaults__ = {
        p.name: defaults.get(p.name, p.default) for p in parameters.values() if p.kind is p.KEYWORD_ONLY
    }
    copy.__doc__, copy.__module__, copy.__qualname__ = function.__doc__, function.__module__, function.__qualname__
    copy.__annotations__ = dict(function.__annotations__)
    return copy


def _named(words: Sequence[str]) -> Path | None:
    for index, word in enumerate(words):
        if word.startswith("--config="):
            return Path(word.partition("=")[2])
        if word == "--config" and index + 1 < len(words):
            return Path(words[index + 1])
    return None


def _read(file: Path) -> dict[str, Any]:
    if file.suffix.lower() not in (".json", ".toml"):
        raise DataError(f"{file}: expected a configuration that ends in .json or .toml, found {file.suffix!r}")
    kind = file.suffix[1:].upper()
    try:
        text = read_bytes(file, f"a {kind} file").decode("utf-8-sig")
        found = tomllib.loads(text) if kind == "TOML" else json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:  # of JSON, of TOML, of UTF-8
        raise DataError(f"{file}: expected {kind}, found {error}") from None
    if not isinstance(found, dict):
        raise DataError(f"{file}: expected a table of options, found {type(found).__name__}")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"the key {twice[0]!r} more than once")
    return dict(pairs)


def _converted(value: Any, hint: Any) -> Any:
    """Returns a value of the type that an option has.

    Raises:
        ValueError: where it has another.
    """
    kinds = _kinds(hint)
    if inner := _of_tuple(hint):
        return tuple(_converted(one, inner) for one in (value if isinstance(value, list) else [value]))
    if bool in kinds or isinstance(value, bool):
        if bool in kinds and isinstance(value, bool):
            return value
    elif str in kinds or Path in kinds:
        if isinstance(value, str):
            return value if str in kinds else Path(value)
    elif isinstance(value, int | float | str):
        number = float(value)  # "1e-3" too: YAML and shells have made it a text before
        if float in kinds:
            return number
        if number.is_integer():
            return value if isinstance(value, int) else int(number)
    raise ValueError


def _kinds(hint: Any) -> tuple[Any, ...]:
    return tuple(kind for kind in get_args(hint) if kind is not type(None)) or (hint,)


def _of_tuple(hint: Any) -> Any:
    return get_args(hint)[0] if getattr(hint, "__origin__", None) is tuple else None


def _words(hint: Any) -> str:
    if inner := _of_tuple(hint):
        return f"{_words(inner)}, or a list of them"
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", Path: "a path"}
    return " or ".join(names[kind] for kind in _kinds(hint))
