"""Run VLMEvalKit with the MedQ-Bench datasets registered: ``python run.py --data ... --model ...``.

The same as ``medqbench run``; all options are the kit's own.
"""

import sys

from medqbench_vlmeval.cli.main import main

if __name__ == "__main__":
    main(["run", *sys.argv[1:]])
