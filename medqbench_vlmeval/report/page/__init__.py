"""The page: one HTML file about any number of runs, with all samples and thumbnails, that needs no network."""

from medqbench_vlmeval.report.page.page import IMAGES, is_page, write_page

__all__ = ["IMAGES", "is_page", "write_page"]
