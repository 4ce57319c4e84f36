"""Readers and writers of other people's formats, one a file. They know records (synth.record), not the store."""
