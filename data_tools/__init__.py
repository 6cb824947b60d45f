"""data_tools: from downloads to a folder of films with a manifest that can be trusted.

- `build`      makes a set from its sources by a recipe: `plan`, `store`, `arrange`
- `sources`    one small class for each publisher; `covidx` reads the released lists
- `recipes`    which rows become which class, and the counts that must come out
- `pictures`   any picture file to 8-bit grey, and what is measured on it
- `duplicates` like pictures; `groups`, what a split may not separate
- `split`      exact shares of whole groups, nested labels: `assignment`, `quotas`
- `audit`      copies, leaks, contradictions, shortcuts, as a page and as JSON
- `verify`     what has changed since; `diff`, what tells two manifests apart
- `shards`     TFRecord files for `sskeras.data`
- `phantom`    a seeded generator of drawn chest films, for lessons and tests
- `manifest`   reads and writes the one file that describes a folder of films
- `ledger`     what became of every row that was read

Command line: `python -m data_tools --help`. Nothing here needs TensorFlow.
"""
