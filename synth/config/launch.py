"""Run a Hydra command: compose the config, hand it over as plain data, and turn Hydra's errors into one message each."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from synth.config.searchpath import config_folders, loose, options, own_configs, written_in
from synth.errors import ConfigError, SynthError, known_names

Prepare = Callable[[dict[str, Any], "Choices"], Callable[[], int]]
_OVERRIDE = re.compile(r"^(\+{0,2}[A-Za-z_][^=]*=|~)")
# A text, the begin of a call, or any character.
_TOKEN = re.compile(r""""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|(?<![\w.])[A-Z]\w*\(|.""", re.DOTALL)
_TEXT_KEYS = ("store", "message")
_TEXT_AS_IT_IS = re.compile(r"""[\w./,~ -]*$|['"]|.*\$\{""", re.ASCII | re.DOTALL)  # plain, a sweep, quoted, or with an interpolation
_PLAIN_LOGGING = {"version", "root", "disable_existing_loggers"}


class Choices:
    """What was chosen on the command line: option of each config group, and the overrides as typed."""

    def __init__(self, groups: dict[str, str], overrides: list[str]) -> None:
        self.groups, self.overrides = groups, overrides


def launch(command: str, arguments: Sequence[str], prepare: Prepare) -> int:
    """Compose `<command>.yaml` with the arguments and hand it to `prepare`, once or once for each job of a sweep (-m); then run what it
    returned, so that nothing runs if any job is wrong. Returns the highest exit code. Raises ConfigError for a wrong call."""
    # Also as argparse takes it shortened.
    if any(len(flag) > 2 and "--experimental-rerun".startswith(flag) for flag in (a.partition("=")[0] for a in arguments)):
        raise ConfigError("--experimental-rerun reads a pickle, which may run anything; use `synth reproduce REF KEY`")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come to us instead of being printed with a traceback
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.core.plugins import Plugins
    from omegaconf import DictConfig, OmegaConf

    from synth.config import schema

    schema.register()
    Plugins.instance().register(_search_path_plugin())
    jobs: list[Callable[[], int]] = []
    failed: list[BaseException] = []

    def job(config: DictConfig) -> None:
        if failed:  # the rest of a sweep
            return
        try:
            runtime = HydraConfig.get()
            choices = Choices({str(k): str(v) for k, v in runtime.runtime.choices.items()}, list(runtime.overrides.task))
            plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
            jobs.append(prepare(plain, choices))  # type: ignore[arg-type]
        except BaseException as error:  # raised below instead: Hydra would print a line of its own
            failed.append(error)

    run = hydra.main(version_base="1.3", config_path=str(own_configs()), config_name=command)(job)
    sweep_folder = tempfile.mkdtemp(prefix="synth-sweep-")  # Hydra insists on leaving a multirun.yaml somewhere
    before = sys.argv
    overrides = [argument for argument in arguments if _OVERRIDE.match(argument)]
    flags = [argument for argument in arguments if not _OVERRIDE.match(argument)]
    # Hydra's parser wants all overrides together; people type them anywhere. First, so that no flag takes ours for its value.
    sys.argv = [f"synth {command}", f"hydra.sweep.dir={sweep_folder}", *map(_quoted, overrides), *flags]
    try:
        with loose(_config_dir(arguments)), _no_code_from_yaml():
            try:
                run()
                if failed:
                    raise failed[0]
            except Exception as error:
                if error in failed and not _is_of_hydra(error):
                    raise
                raise _explained(error, arguments) from error
            return max([job() for job in jobs], default=0)
    finally:
        sys.argv = before
        shutil.rmtree(sweep_folder, ignore_errors=True)


def _config_dir(arguments: Sequence[str]) -> Path | None:
    """The folder of options of one's own that a call names."""
    return next((Path(folder) for folder in re.findall(r"^(?:--config-dir|-cd)[=\n](.+)$", "\n".join(arguments), re.M)), None)


@contextmanager
def _no_code_from_yaml() -> Iterator[None]:
    """Refuse a composed config whose `hydra` part would run code of its own choice: callbacks and log handlers are built from any
    `_target_`, and variables such as LD_PRELOAD reach the workers. A YAML of a colleague may set them, from any group."""
    from hydra._internal.config_loader_impl import ConfigLoaderImpl

    compose = ConfigLoaderImpl.load_configuration

    def checked(self: Any, *arguments: Any, **named: Any) -> Any:
        config = compose(self, *arguments, **named)
        if wrong := next(_code_in(config.hydra), None):
            raise ConfigError(f"hydra.{wrong} may run anything, so neither a YAML nor an override may set it")
        return config

    ConfigLoaderImpl.load_configuration = checked  # type: ignore[method-assign]
    try:
        yield
    finally:
        ConfigLoaderImpl.load_configuration = compose  # type: ignore[method-assign]


def _code_in(node: Any) -> Iterator[str]:
    from omegaconf import OmegaConf

    def plain(key: str) -> Any:
        value = OmegaConf.select(node, key)
        return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value

    yield from (key for key in ("callbacks", "job.env_set") if plain(key))
    for key in ("job_logging", "hydra_logging"):
        log = plain(key)
        if isinstance(log, dict) and (set(log) - _PLAIN_LOGGING or log.get("root")):
            yield key
    for key in ("launcher", "sweeper"):  # Hydra takes their own target from its plugins only
        if any("_target_" in str(value) for name, value in (plain(key) or {}).items() if name != "_target_"):
            yield key


def _quoted(argument: str) -> str:
    """Let `scene.objects=Integers(2, 5),Integers(6, 9)` be typed as it is, where Hydra would take each for a function of its own; and
    `store=./Größe 1`, where its grammar knows ASCII letters only."""
    name, equals, text = argument.partition("=")
    if (name in _TEXT_KEYS or name.endswith(".where")) and not _TEXT_AS_IT_IS.match(text):
        return name + equals + _quote(text)
    done, call, depth = "", "", 0
    for token in _TOKEN.findall(text):
        opens = len(token) > 1 and token.endswith("(")
        if not depth and not opens:
            done += token
            continue
        call += token
        depth += (opens or token == "(") - (token == ")")
        if not depth:
            done, call = done + _quote(call), ""
    return name + equals + done + call


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _search_path_plugin() -> type:
    from hydra.core.config_search_path import ConfigSearchPath
    from hydra.plugins.search_path_plugin import SearchPathPlugin

    class SynthSearchPath(SearchPathPlugin):
        def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
            for provider, folder in config_folders()[1:]:
                search_path.append(provider, f"file://{folder}")  # as it is: Hydra does not decode %20

    return SynthSearchPath


def _is_of_hydra(error: Exception) -> bool:
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    return isinstance(error, (HydraException, OmegaConfBaseException))


def _explained(error: Exception, arguments: Sequence[str]) -> SynthError:
    """A SynthError that says in one message what Hydra or OmegaConf found."""
    from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
    from omegaconf.errors import ConfigAttributeError, ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException

    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, option = str(error.missing_cfg_file).rpartition("/")
        return ConfigError(known_names(group, option, options(group, _config_dir(arguments))) if group else f"no config '{option}'")
    cause = error.__cause__ if isinstance(error, ConfigCompositionException) and error.__cause__ else error
    if isinstance(cause, (ConfigAttributeError, ConfigKeyError)):
        where, _, _ = str(cause.full_key).rpartition(".")
        parent: Any = cause.parent_node
        known = [f"{where}.{key}" if where else str(key) for key in parent or () if key != "hydra"]
        return ConfigError(known_names("key", str(cause.full_key), known))
    if isinstance(cause, MissingMandatoryValue):
        return ConfigError(f"'{cause.full_key}' has no value; give one: {cause.full_key}=...")
    if isinstance(cause, OmegaConfBaseException):
        found = str(cause.msg if getattr(cause, "msg", None) else cause).splitlines()[0]
        quoted = re.search(r"Interpolation key '([^']+)'", found)
        place = written_in(quoted[1]) if quoted else ""
        found += f" ({place})" if place else ""
        return ConfigError(f"{cause.full_key}: {found}" if cause.full_key else found)
    if isinstance(error, HydraException):
        return ConfigError(" ".join(str(error).split("\n")[:2]).strip())
    if isinstance(error, SynthError):
        return error
    text = " ".join(str(error).split())
    plugin = next((f"plugin '{name}': " for name, folder in config_folders()[1:] if str(folder) in text), "")
    return ConfigError(f"{plugin}Hydra cannot compose this: {type(error).__name__}: {text[:500]}")
