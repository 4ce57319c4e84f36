"""Every error a user can cause, one tree.

A message says what is wrong, where (file, key, index), what was found and what to do. The command line prints the message alone
and ends with `exit_code`; a traceback comes only with `--debug`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SynthError(Exception):
    """Base of all errors of synth. `exit_code` is what the command line ends with."""

    exit_code = 1


class ConfigError(SynthError):
    """The call or its configuration is wrong; nothing was written."""

    exit_code = 2


class MissingPartError(SynthError):
    """A library or system package is not installed; the message names the command that installs it."""

    exit_code = 2


class AssetError(SynthError):
    """A mesh, texture or photo cannot be used; the message names the file and the cause."""


class SceneError(SynthError):
    """A scene could not compose a world for this sample (no free place, nothing in view, ...)."""


class RenderError(SynthError):
    """The renderer could not draw."""


class LabelError(SynthError):
    """A label would be wrong or contradicts another; never written."""


class StoreError(SynthError):
    """The store cannot be opened, read or written, or a ref or key in it does not exist."""


class StoreCallError(StoreError):
    """The call names a store, ref, sample or filter that there is not; nothing was written."""

    exit_code = 2


class FormatError(SynthError):
    """A file or folder of a foreign format cannot be read or written; the message names the place in it."""


def known_names(what: str, name: str, known: Iterable[str]) -> str:
    """Say that `name` is no `what`, with the nearest known name and the list of all.

    >>> known_names("scene", "tabeltop", ["tabletop", "shelf"])
    "no scene 'tabeltop'; did you mean 'tabletop'? known: shelf, tabletop"
    """
    options = sorted(known)
    near = difflib.get_close_matches(name, options, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ";"
    return f"no {what} '{name}'{hint} known: {', '.join(options) or 'none'}"


def raised_at(error: BaseException, package: str) -> str:
    """Where in a package an error arose, innermost: "file, line 7"; "" if nowhere in it."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}"
    found, step = "", error.__traceback__
    while step is not None:
        if str(step.tb_frame.f_globals.get("__name__", "")).partition(".")[0] == package:
            found = f"{step.tb_frame.f_code.co_filename}, line {step.tb_lineno}"
        step = step.tb_next
    return found
