"""The viewer: the page over a work folder, served to this machine alone, with what is still at work."""
