"""How good completions are: cases, baselines, figures, reports."""
