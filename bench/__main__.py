"""`python -m bench [--only NAME ...] [--runs N] [--large] [--small] [--json]`: run scenarios, write RESULTS.md."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from bench import report
from bench.measure import Settings
from bench.scenarios import SCENARIOS


def main() -> None:
    """Exit code 0 when everything was measured, whether bars are met or not: the results say that."""
    options = arguments()
    console = Console(stderr=options.json, width=None if sys.stdout.isatty() else 180)
    chosen = [scenario for scenario in SCENARIOS if not options.only or scenario.name in options.only]
    results = {}
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
        settings = Settings(options.runs, Path(folder), options.large, options.small)
        for scenario in chosen:
            with console.status(f"{scenario.name}: {scenario.title} ..."):
                results[scenario] = scenario.run(settings)
            report.show(console, scenario, results[scenario])
    if options.json:
        print(json.dumps(report.as_json(results, options.runs), indent=1))
    if len(chosen) == len(SCENARIOS) and not options.small:
        report.RESULTS.write_text(report.markdown(results, options.runs), "utf-8")
        console.print(f"written: {report.RESULTS}")
    else:
        console.print("bench/RESULTS.md is written only by a run of all scenarios")


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    names = [scenario.name for scenario in SCENARIOS]
    parser.add_argument("--only", action="append", choices=names, help="run only this scenario; may be repeated")
    parser.add_argument("--runs", type=int, default=3, help="runs of each scenario (default 3)")
    parser.add_argument("--large", action="store_true", help="measure memory with 300,000 rows, too")
    parser.add_argument("--small", action="store_true", help="few rows: shows that the tasks scenarios work")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    options = parser.parse_args()
    if options.runs < 1:
        parser.error("--runs must be at least 1")
    return options


if __name__ == "__main__":
    main()
