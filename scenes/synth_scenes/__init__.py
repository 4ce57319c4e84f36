"""The built-in scenes of synth: a plugin like any other, without privileges."""
