"""What people look at: workbooks, page, figures, cards, leaderboard and terminal tables, all from a run's two result
files."""
