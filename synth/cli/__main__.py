"""`python -m synth.cli` is `synth`."""

import sys

from synth.cli import main

sys.exit(main())
