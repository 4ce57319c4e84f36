"""The typed keys of configs/generate.yaml, so that a wrong type or an unknown key is named by Hydra before anything is built."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING


@dataclass
class ImageKeys:
    """How pictures are encoded."""

    format: str = MISSING
    quality: int = MISSING
    chroma: str = MISSING


@dataclass
class GenerateKeys:
    """Top level of `synth generate`. Meanings and units stand in the YAML."""

    n: int = MISSING
    seed: int = MISSING
    store: str = MISSING
    message: str = MISSING
    workers: int = MISSING
    outputs: list[str] = MISSING
    image: ImageKeys = field(default_factory=ImageKeys)
    keypoint_tolerance: float = MISSING
    camera: Any = MISSING
    scene: Any = MISSING
    renderer: Any = MISSING
    stages: Any = None


@dataclass
class MixKeys:
    """Top level of `synth mix`. What stands below `mix` is checked by synth.mix.wanted."""

    seed: int = MISSING
    store: str = MISSING
    out: str = MISSING
    mix: Any = MISSING


@dataclass
class ExperimentKeys:
    """Top level of `synth experiment`. What stands below `experiment` is checked by synth.experiment.ladder."""

    store: str = MISSING
    out: str = MISSING
    trackers: list[str] = MISSING
    experiment: Any = MISSING


def register() -> None:
    """Make the schemas known to Hydra."""
    ConfigStore.instance().store(name="experiment_keys", node=ExperimentKeys, provider="synth")
    ConfigStore.instance().store(name="mix_keys", node=MixKeys, provider="synth")
    ConfigStore.instance().store(name="generate_keys", node=GenerateKeys, provider="synth")
