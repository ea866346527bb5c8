"""Count parameters and multiply-accumulates of every network: ``python -m experiments.network_sizes``.

Writes ``experiments/results/network_sizes.csv``: name, parameters, gmacs (10^9 multiply-accumulates for one 256x256
picture in evaluation, as ``torch.utils.flop_counter`` counts convolutions). It runs on shapes alone, in a second.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from deblur.cli import EXIT_DONE, given_path, parse_args, run

if TYPE_CHECKING:
    from collections.abc import Sequence


SIDE = 256  # of the picture that the cost is given for
OUTPUT = Path(__file__).resolve().parent / "results" / "network_sizes.csv"


def main(argv: Sequence[str] | None = None) -> int:
    """Write the table and print it; ``--json`` prints it as one JSON document."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.network_sizes", description=(__doc__ or "").partition(":")[0]
    )
    parser.add_argument("--output", type=given_path, default=OUTPUT, metavar="CSV", help="where to write the table")
    parser.add_argument("--json", action="store_true", help="print the table as one JSON document on stdout")
    args = parse_args(parser, argv)
    return run(lambda: _write(args.output, args.json))


def _write(output: Path, as_json: bool) -> int:
    from deblur.networks import NETWORK_NAMES, named_config
    from deblur.networks.cost import cost_of
    from deblur.runs import write_atomically
    from experiments.common.own_output import prepare_own_output

    prepare_own_output(output, OUTPUT, "table")
    rows = []
    for name in NETWORK_NAMES:
        parameters, macs = cost_of(named_config(name), SIDE, SIDE)
        rows.append({"name": name, "parameters": parameters, "gmacs": round(macs / 1e9, 3)})
    table = io.StringIO()
    writer = csv.DictWriter(table, ["name", "parameters", "gmacs"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(output, table.getvalue().encode("utf-8"))
    print(json.dumps({"output": str(output), "networks": rows}) if as_json else table.getvalue().strip())
    return EXIT_DONE


if __name__ == "__main__":
    sys.exit(main())
