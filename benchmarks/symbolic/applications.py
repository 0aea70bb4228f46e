"""Fatigue, hardness, indentation, yield surfaces, Lorenz, membrane potential: ours beside plain search, from the configurations of the shell.

    python benchmarks/symbolic/applications.py --work /tmp/applications --out benchmarks/results/symbolic-applications.md

Each study is `infinity run configs/NAME.toml`, whose run folder stays in `--work`, so that a run that stopped goes on with the next study; the page is written
from what the folders' `result.json` say, and of nothing else. pyoperon has the processor time that ours took, at least five seconds; its formulas are
judged as ours are. Indentation needs the table that its configuration names (`--data`, the folder of it) and is left out, said aloud, where it is absent.
"""

import argparse
import json
import os
import re
import sys
from pathlib import Path

# One thread of linear algebra for everyone: on a shared machine more of them wait for each other, and the clock of the processor counts that.
for _library in ("OPENBLAS", "OMP", "MKL"):
    os.environ.setdefault(f"{_library}_NUM_THREADS", "1")

import jax

jax.config.update("jax_enable_x64", True)

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
from benchmarks.provenance import header
from infinity.cli.configured import run_configs

STUDIES = ("fatigue", "hardness", "indentation", "indentation-without-78", "yield", "lorenz", "goldman")
GOLDMAN = '[discover]\nproblems = ["goldman"]\nsamples = 600\nnoise = [0.0, 0.05]\npeers = ["plain", "polynomial", "pyoperon"]\n'
# The row of the table that no smooth law of the others passes near.
ODD_ROW = 78


def configuration(name: str, data: Path) -> str:
    """The text of a study."""
    if name == "goldman":
        return GOLDMAN
    text = (ROOT / "configs" / f"{name.partition('-without')[0]}.toml").read_text()
    text = re.sub(r'file = ".*/(.*)"', lambda found: f'file = "{(data / found[1]).resolve()}"', text)
    text = text.partition("[output]")[0]
    return text.replace("splits = 5", f"splits = 5\nleave_out = [{ODD_ROW}]") if "without" in name else text


def run(name: str, work: Path, data: Path) -> None:
    """Carry out a study whose folder is not there yet."""
    if (work / name / "result.json").exists():
        return
    if name.startswith("indentation") and not data.exists():
        print(f"{name} is left out: there is no folder {data}")
        return
    work.mkdir(parents=True, exist_ok=True)
    path = work / f"{name}.toml"
    path.write_text(f'{configuration(name, data)}\n[output]\nfolder = "{work / name}"\n')
    run_configs([path], False, lambda single: None)


def page(work: Path) -> str:
    """The page of what the folders say."""
    found = {name: json.loads((work / name / "result.json").read_text()) for name in STUDIES if (work / name).exists()}
    text = "# Applications of discovery\n\nWritten by `benchmarks/symbolic/applications.py`; what is compared stands at its head and in `configs/`.\n\n"
    text += f"{header(0, ['pyoperon'])}\n\n## Asked and measured\n\n| asked | measured |\n| --- | --- |\n"
    text += "".join(f"| {asked} | {measured} |\n" for asked, measured in _asked(found))
    for name, record in found.items():
        text += f"\n## {name}\n"
        for case in record["cases"]:
            text += _case(case)
    return text


def _asked(found: dict) -> list[tuple[str, str]]:
    cases = {case["title"]: case for record in found.values() for case in record["cases"]}
    rows = []
    for problem in ("basquin-walker", "goodman", "oliver-pharr"):
        of = [(title, case["rows"][0]) for title, case in cases.items() if title.startswith(problem)]
        said = [f"{title.split(', ')[1]}: {'yes' if row['form of the truth'] else 'no'}" for title, row in of]
        rows.append((f"{problem}: the form of the truth without noise (beyond: at 1 %)", ", ".join(said)))
    for title, case in cases.items():
        if title.startswith("goldman"):
            rows.append((f"{title}: not worse than pyoperon at new points", _beside(case, "new points")))
    for name, record in found.items():
        if name.startswith("indentation"):
            for case in record["cases"]:
                best = f"{name}, {case['title']}: not worse than the best of polynomial and pyoperon on unseen rows"
                found_as_good = case["rows"][0].get("shortest as good") or "-"
                lengths = f"lengths {_beside(case, 'length in splits')}; shortest of our list that is as good as both: {found_as_good} splits"
                rows.append((best, f"{_beside(case, 'unseen rows')}; {lengths}"))
    return rows


def _beside(case: dict, word: str) -> str:
    return ", ".join(f"{row['who']} {_number(row[word])}" for row in case["rows"])


def _number(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "-"
    return f"{value:.2g}" if isinstance(value, float) else str(value)


def _case(case: dict) -> str:
    text = f"\n### {case['title']}\n\n" + (f"Truth: `{case['truth']}`.\n\n" if case["truth"] else "")
    lines = [line.strip() for line in case["message"].splitlines()]
    text += ".\n".join(lines) + ".\n\n"
    words = [word for word in case["rows"][0] if word not in ("who", "formulas")]
    text += f"| | {' | '.join(words)} | formula |\n| --- |{' --- |' * (len(words) + 1)}\n"
    for row in case["rows"]:
        shown = "; ".join(row["formulas"])
        shown = shown if len(shown) <= 160 else f"{shown[:157]}..."
        text += f"| {row['who']} | {' | '.join(_number(row[word]) for word in words)} | `{shown}` |\n"
    return text


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--work", type=Path, required=True, help="where the run folders stay")
    options.add_argument("--data", type=Path, default=ROOT / "../shared/data/indentation")
    options.add_argument("--only", nargs="*", default=list(STUDIES), choices=STUDIES)
    options.add_argument("--out", type=Path, required=True)
    given = options.parse_args()
    for name in given.only:
        run(name, given.work, given.data)
        given.out.write_text(page(given.work))


if __name__ == "__main__":
    main()
