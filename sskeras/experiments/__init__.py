"""Runs, and the paper's experiments as lists of runs.

- A run, one training in a folder that says how it came about: `settings` (what decides
  its result), `train` (from a manifest to scores, figures and models), `use` (what a
  finished run is good for).
- The paper: `table3`, `table4` and `table5` are lists of experiments, `reproduce` runs
  them, `report` shows what came of them, and `paper` audits the paper's own numbers.
"""
