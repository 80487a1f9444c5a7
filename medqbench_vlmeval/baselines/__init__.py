"""Two models without weights: what a guess is worth (``chance``), and what classical statistics are (``classical``)."""
