"""What scenes are composed with: where bodies rest and stand, cameras, lights, shapes, textures. For scenes of any package."""
