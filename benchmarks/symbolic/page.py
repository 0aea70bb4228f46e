"""The page of what the lines of `recovery.py` say, and of nothing else: counts side by side first, then every formula, misses too."""

import statistics

# A relative error below which a formula counts as recovered, and one below which it is the law itself and no imitation of it.
RECOVERED, SAME = 1e-6, 1e-12
LONGEST = 90


def part_of(row: dict, names: dict[str, list[str]]) -> str:
    """The part that a line belongs to; lines of old did not say, and were of the first one that has the formula."""
    return row.get("part") or next(part for part, some in names.items() if row["name"] in some)


def page(lines: list[dict], names: dict[str, list[str]]) -> str:
    """The page; `names` are the formulas of each part."""
    unknown = "not in the lines"
    text = "# Recovery of formulas\n\nWritten by `benchmarks/symbolic/recovery.py` from its JSON lines.\n\n"
    for word in ("commit", "device", "versions"):
        text += f"- {word}: {'; '.join(sorted({r.get(word, unknown) for r in lines}))}\n"
    cases = sorted({(list(names).index(part_of(r, names)), r["rows"], r["noise"], r["seed"]) for r in lines})
    text += (
        "\nRecovered: with its constants refitted to values without noise, the recommended formula has a relative error below "
        f"{RECOVERED:g} on new points (functions of one variable: on points up to 15 % of the range beyond it). pyoperon: as much processor time, at least "
        "five seconds, and our own choice on its Pareto front; `any`: any of the formulas that either of the two gives back is right. "
        "Ratio: recovered by us over recovered by pyoperon. Wrongly: called found and not recovered.\n\n"
        "| part | rows | noise | seed | ours | any | pyoperon | any | ratio | wrongly | seconds, median (mean) | commit |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"
    )
    details = ""
    for place, rows, noise, seed in cases:
        part = list(names)[place]
        some = [r for r in lines if (part_of(r, names), r["rows"], r["noise"], r["seed"]) == (part, rows, noise, seed)]
        ours = {r["name"]: r for r in some if r["who"] == "ours"}
        peer = {r["name"]: r for r in some if r["who"] == "pyoperon"}
        text += _counts(part, rows, noise, seed, ours, peer)
        details += _details(f"{part}, {rows} rows, noise {noise:g}, seed {seed}", len(names[part]), ours, peer)
    return text + details


def _good(rows: dict[str, dict], which: str = "error") -> int:
    return sum(min(r["error"], r[which]) < RECOVERED for r in rows.values())


def _counts(part: str, rows: int, noise: float, seed: int, ours: dict, peer: dict) -> str:
    of = lambda rows, which: f"{_good(rows, which)} of {len(rows)}" if rows else ""
    both = {name: r for name, r in ours.items() if name in peer}
    right = _good(peer)
    ratio = f"{_good(both) / right:.2f}" if right else ""
    seconds = [r["cpu"] for r in ours.values()]
    wrongly = sum(bool(r.get("found")) and r["error"] >= RECOVERED for r in ours.values())
    commits = ", ".join(sorted({r.get("commit", "unknown")[:7] for r in (*ours.values(), *peer.values())}))
    took = f"{statistics.median(seconds):.1f} ({statistics.mean(seconds):.1f})" if seconds else ""
    return (
        f"| {part} | {rows} | {noise:g} | {seed} | {of(ours, 'error')} | {of(ours, 'any')} | {of(peer, 'error')} | {of(peer, 'any')} | {ratio} | "
        f"{wrongly} | {took} | {commits} |\n"
    )


def _details(title: str, count: int, ours: dict, peer: dict) -> str:
    same = sum(r["error"] < SAME for r in ours.values())
    text = f"\n## {title}\n\n{len(ours)} of {count} run; below {SAME:g}, where no imitation comes: {same}.\n\n"
    text += "| formula | ours | called found | seconds | best formula | pyoperon | seconds |\n| --- | --- | --- | --- | --- | --- | --- |\n"
    for name in {**ours, **peer}:
        r, p = ours.get(name), peer.get(name)
        shown = "" if r is None else r.get("formula", "")
        shown = shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 3]}..."
        own = (
            " | | | "
            if r is None
            else f"{r['error']:.1e} | {'yes' if r.get('found') else 'no'} | {r['cpu']:.1f} | `{shown}`"
        )
        other = " | " if p is None else f"{p['error']:.1e} | {p['cpu']:.1f}"
        text += f"| {name} | {own} | {other} |\n"
    return text
