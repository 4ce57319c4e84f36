"""From YAML and overrides to a Recipe. Hydra and OmegaConf stop here: below are plain dataclasses that check themselves."""
