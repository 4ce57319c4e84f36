"""Renderers: a World becomes a Frame. The only package that knows OpenGL."""
