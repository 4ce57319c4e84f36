import sys
from pathlib import Path

# Spawned workers get this process's sys.path, so they find run_scenes too.
sys.path.insert(0, str(Path(__file__).parent))
