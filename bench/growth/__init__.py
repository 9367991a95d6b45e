"""How the cost of a day's work grows with what is there: `python -m bench.growth` measures, fits and draws it."""
