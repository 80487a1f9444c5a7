"""``python -m medqbench_vlmeval`` and the console command ``medqbench``."""

import signal


def main() -> None:
    """Run a command (see ``cli.main``)."""
    # Ctrl-C while modules are imported ends the process without a traceback; the command has its own words for it.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from medqbench_vlmeval.cli.main import main as command

    signal.signal(signal.SIGINT, signal.default_int_handler)
    command()


if __name__ == "__main__":
    main()
