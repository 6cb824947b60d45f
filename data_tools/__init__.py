"""data_tools: builds folders of chest films with a `manifest.csv`.

- `phantom`   a seeded generator of drawn chest films, for lessons and tests
- `manifest`  writes the one file that describes a folder of films

Command line: `python -m data_tools --help`. Nothing here needs TensorFlow.
"""
