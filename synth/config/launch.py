"""Run a Hydra command: compose the config, hand it over as plain data, and turn Hydra's errors into one message each."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from synth.config.searchpath import config_folders, options, own_configs
from synth.errors import ConfigError, known_names

Task = Callable[[dict[str, Any], "Choices"], int]
_OVERRIDE = re.compile(r"^(\+{0,2}[A-Za-z_][^=]*=|~)")
_BARE_DISTRIBUTION = re.compile(r"^([^=]+)=\s*([A-Z]\w*\(.*\))\s*$", re.DOTALL)


class Choices:
    """What was chosen on the command line: option of each config group, and the overrides as typed."""

    def __init__(self, groups: dict[str, str], overrides: list[str]) -> None:
        self.groups, self.overrides = groups, overrides


def launch(command: str, arguments: Sequence[str], task: Task) -> int:
    """Compose `<command>.yaml` with the arguments and call `task` once, or once for each job of a sweep (-m). Returns the highest of
    their exit codes. Raises ConfigError for a wrong call."""
    if any(argument.startswith("--experimental-rerun") for argument in arguments):
        raise ConfigError("--experimental-rerun reads a pickle, which may run anything; use `synth reproduce REF KEY`")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come to us instead of being printed with a traceback
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.core.plugins import Plugins
    from omegaconf import DictConfig, OmegaConf

    from synth.config import schema

    schema.register()
    Plugins.instance().register(_search_path_plugin())
    codes: list[int] = []
    failed: list[BaseException] = []

    def job(config: DictConfig) -> None:
        if failed:  # the rest of a sweep
            return
        try:
            runtime = HydraConfig.get()
            choices = Choices({str(k): str(v) for k, v in runtime.runtime.choices.items()}, list(runtime.overrides.task))
            plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
            codes.append(task(plain, choices))  # type: ignore[arg-type]
        except BaseException as error:  # raised below instead: Hydra would print a line of its own
            failed.append(error)

    run = hydra.main(version_base="1.3", config_path=str(own_configs()), config_name=command)(job)
    sweep_folder = tempfile.mkdtemp(prefix="synth-sweep-")  # Hydra insists on leaving a multirun.yaml somewhere
    before = sys.argv
    overrides = [argument for argument in arguments if _OVERRIDE.match(argument)]
    flags = [argument for argument in arguments if not _OVERRIDE.match(argument)]
    # Hydra's parser wants all overrides together; people type them anywhere.
    sys.argv = [f"synth {command}", *flags, *map(_quote_distribution, overrides), f"hydra.sweep.dir={sweep_folder}"]
    try:
        run()
        if failed:
            raise failed[0]
    except Exception as error:
        raise _explained(error, arguments) from error
    finally:
        sys.argv = before
        shutil.rmtree(sweep_folder, ignore_errors=True)
    return max(codes, default=0)


def _quote_distribution(argument: str) -> str:
    """Let `scene.objects=Integers(2, 5)` be typed as it is: Hydra would take it for a function of its own."""
    match = _BARE_DISTRIBUTION.match(argument)
    if not match:
        return argument
    value = match[2].replace("\\", "\\\\").replace('"', '\\"')
    return f'{match[1]}="{value}"'


def _search_path_plugin() -> type:
    from hydra.core.config_search_path import ConfigSearchPath
    from hydra.plugins.search_path_plugin import SearchPathPlugin

    class SynthSearchPath(SearchPathPlugin):
        def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
            for provider, folder in config_folders()[1:]:
                search_path.append(provider, folder.as_uri())

    return SynthSearchPath


def _explained(error: Exception, arguments: Sequence[str]) -> Exception:
    """A ConfigError that says in one message what Hydra or OmegaConf found, or the error itself if it is not theirs."""
    from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
    from omegaconf.errors import ConfigAttributeError, ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException

    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, option = str(error.missing_cfg_file).rpartition("/")
        extra = next((Path(a.partition("=")[2]) for a in arguments if a.startswith("--config-dir=")), None)
        return ConfigError(known_names(group, option, options(group, extra)) if group else f"no config '{option}'")
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
        return ConfigError(f"{cause.full_key}: {found}" if cause.full_key else found)
    if isinstance(error, HydraException):
        return ConfigError(" ".join(str(error).split("\n")[:2]).strip())
    return error
