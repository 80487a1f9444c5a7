"""Result files: the only reader and writer of what a scored run leaves."""
