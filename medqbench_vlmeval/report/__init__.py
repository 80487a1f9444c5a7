"""What people look at: the workbook of a run, the local leaderboard and the terminal's tables.

Everything here is made from the two result files of a run, its ``_score.json`` and its ``_samples.jsonl``;
nothing here scores anything. XlsxWriter, rich and filelock are imported where they are used.
"""
