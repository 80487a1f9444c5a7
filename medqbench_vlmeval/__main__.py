"""``python -m medqbench_vlmeval`` is the command ``medqbench``."""

from medqbench_vlmeval.cli.main import main

if __name__ == "__main__":
    main()
