"""The command line. It calls rooms and owns no logic."""
