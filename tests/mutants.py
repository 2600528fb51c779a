"""Prints what `make mutants` found: a row a module, and the names of the mutants that survived.

`mutmut show NAME`, in the folder that the mutants were made in, shows what such a mutant changes.
"""

import json
import sys
from pathlib import Path

SURVIVED, NO_TEST = 0, 33  # how the tests of a mutant ended; no test at all runs what it changes


def main(folder: Path) -> None:
    """Read the results that mutmut keeps beside each module."""
    survivors = []
    print("| module | mutants | killed | survived | not tried |")
    print("|---|---|---|---|---|")
    for path in sorted((folder / "mutants").rglob("*.py.meta")):
        codes: dict[str, int | None] = json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"]
        tried = {name: code for name, code in codes.items() if code is not None}
        alive = [name for name, code in tried.items() if code in (SURVIVED, NO_TEST)]
        if tried:
            module = path.relative_to(folder / "mutants").with_suffix("")
            share = 1 - len(alive) / len(tried)
            numbers = f"{len(tried) - len(alive)} ({share:.1%}) | {len(alive)} | {len(codes) - len(tried)}"
            print(f"| `{module}` | {len(codes)} | {numbers} |")
            survivors += alive
    print()
    print("\n".join(survivors))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
