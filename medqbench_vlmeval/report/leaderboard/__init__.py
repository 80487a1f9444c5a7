"""Boards: add, show and export runs beside the published rows."""
