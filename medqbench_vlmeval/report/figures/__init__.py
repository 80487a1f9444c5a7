"""Figures of scored runs for papers (PNG and SVG) and for the page (inline SVG), from ``_score.json`` alone."""

from medqbench_vlmeval.report.figures.draw import themed_svgs, write_figures

__all__ = ["themed_svgs", "write_figures"]
