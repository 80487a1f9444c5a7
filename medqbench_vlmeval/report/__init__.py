"""What people look at: the workbook of a run, the local leaderboard and the terminal's tables.

Everything here is made from the two result files of a run, its ``_score.json`` and its ``_samples.jsonl``;
nothing here scores anything. XlsxWriter, rich and filelock are imported where they are used.
"""

from medqbench_vlmeval.report.leaderboard.board import leaderboard_rows
from medqbench_vlmeval.report.run_tables import run_summary
from medqbench_vlmeval.report.standings import Row
from medqbench_vlmeval.report.terminal import describe_data
from medqbench_vlmeval.report.workbook import write_workbook

__all__ = [
    "Row",
    "describe_data",
    "leaderboard_rows",
    "run_summary",
    "write_workbook",
]
