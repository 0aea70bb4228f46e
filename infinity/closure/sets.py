r"""Which labels may be solved for together.

A *conflict* joins two labels that some term multiplies with one another. A set without conflicts is jointly affine, so
the largest such set is a maximum-weight independent set of the conflict graph, and a partition into such sets is a
colouring:

\[ \max_{S} \sum_{g \in S} w_g \ \text{ s.t. no edge within } S,
\qquad \min k : \ \text{labels} = S_1 \cup \dots \cup S_k. \]

Labels with the same conflicts are taken as one. Graphs up to some forty such groups are solved exactly, larger ones
greedily.
"""

from collections.abc import Callable, Hashable, Sequence

_EXACT_VERTICES = 40
_EXACT_COLOURS = 16
_EXACT_PARTITION = 8
_STEPS = 50_000


def maximum_weight_set(weights: Sequence[int], conflicts: Sequence[set[int]]) -> list[int]:
    """Return the independent set of largest weight: exact for small graphs, greedy above."""
    groups = _twins(weights, conflicts)
    heads = list(groups)
    place = {head: number for number, head in enumerate(heads)}
    totals = [sum(weights[member] for member in groups[head]) for head in heads]
    edges = [{place[other] for other in conflicts[head] if other in place} for head in heads]
    chosen: list[int] = []
    for part in _components(edges):
        chosen.extend(
            _branch_and_bound(part, totals, edges) if len(part) <= _EXACT_VERTICES else _greedy_set(part, totals, edges)
        )
    return sorted(member for number in chosen for member in groups[heads[number]])


def _twins(weights: Sequence[int], conflicts: Sequence[set[int]]) -> dict[int, list[int]]:
    """Labels with the same conflicts, by their first."""
    groups: dict[Hashable, list[int]] = {}
    for label in range(len(weights)):
        groups.setdefault(frozenset(conflicts[label]), []).append(label)
    return {members[0]: members for members in groups.values()}


def _components(edges: Sequence[set[int]]) -> list[list[int]]:
    seen: set[int] = set()
    parts = []
    for start in range(len(edges)):
        if start in seen:
            continue
        part, frontier = [], [start]
        seen.add(start)
        while frontier:
            vertex = frontier.pop()
            part.append(vertex)
            for other in edges[vertex] - seen:
                seen.add(other)
                frontier.append(other)
        parts.append(sorted(part))
    return parts


def _greedy_set(part: Sequence[int], weights: Sequence[int], edges: Sequence[set[int]]) -> list[int]:
    left, chosen = set(part), []
    while left:
        best = max(
            sorted(left),
            key=lambda vertex: weights[vertex] / (1 + sum(weights[other] for other in edges[vertex] & left)),
        )
        chosen.append(best)
        left -= edges[best] | {best}
    return chosen


def _branch_and_bound(part: Sequence[int], weights: Sequence[int], edges: Sequence[set[int]]) -> list[int]:
    best = _greedy_set(part, weights, edges)
    best_weight = sum(weights[vertex] for vertex in best)
    steps = 0

    def search(left: list[int], chosen: list[int], weight: int, remaining: int) -> None:
        nonlocal best, best_weight, steps
        steps += 1
        if weight > best_weight:
            best, best_weight = list(chosen), weight
        if not left or weight + remaining <= best_weight or steps > _STEPS:
            return
        present = set(left)
        vertex = max(left, key=lambda one: (len(edges[one] & present), weights[one], -one))
        without = [one for one in left if one != vertex]
        compatible = [one for one in without if one not in edges[vertex]]
        search(compatible, [*chosen, vertex], weight + weights[vertex], sum(weights[one] for one in compatible))
        search(without, chosen, weight, remaining - weights[vertex])

    search(list(part), [], 0, sum(weights[vertex] for vertex in part))
    return best


def colouring(weights: Sequence[int], conflicts: Sequence[set[int]]) -> list[list[int]]:
    """Return a partition into independent sets, as few as can be found: exact for small graphs, by saturation above."""
    groups = _twins(weights, conflicts)
    heads = list(groups)
    place = {head: number for number, head in enumerate(heads)}
    edges = [{place[other] for other in conflicts[head] if other in place} for head in heads]
    colours = _saturation(edges)
    count = max(colours, default=-1) + 1
    if len(heads) <= _EXACT_COLOURS:
        for fewer in range(1, count):
            found = _coloured(edges, fewer)
            if found is not None:
                colours, count = found, fewer
                break
    blocks: list[list[int]] = [[] for _ in range(count)]
    for number, head in enumerate(heads):
        blocks[colours[number]].extend(groups[head])
    return sorted(sorted(block) for block in blocks)


def _saturation(edges: Sequence[set[int]]) -> list[int]:
    """Colour next what sees most colours already."""
    colours = [-1] * len(edges)
    for _ in edges:
        free = [vertex for vertex in range(len(edges)) if colours[vertex] < 0]
        vertex = max(
            free, key=lambda one: (len({colours[other] for other in edges[one]} - {-1}), len(edges[one]), -one)
        )
        seen = {colours[other] for other in edges[vertex]}
        colours[vertex] = next(colour for colour in range(len(edges)) if colour not in seen)
    return colours


def _coloured(edges: Sequence[set[int]], count: int) -> list[int] | None:
    colours = [-1] * len(edges)

    def search(vertex: int, used: int) -> bool:
        if vertex == len(edges):
            return True
        seen = {colours[other] for other in edges[vertex]}
        for colour in range(min(used + 1, count)):
            if colour not in seen:
                colours[vertex] = colour
                if search(vertex + 1, max(used, colour + 1)):
                    return True
        colours[vertex] = -1
        return False

    return colours if search(0, 0) else None


def partition(count: int, allowed: Callable[[Sequence[int]], bool]) -> list[list[int]] | None:
    """Return few sets, each `allowed` (as every part of an allowed set is); None if a label is not allowed even alone.

    Exact for few labels, first fit above.
    """
    if any(not allowed([label]) for label in range(count)):
        return None
    if allowed(range(count)):
        return [list(range(count))] if count else []
    blocks: list[list[int]] = []
    for label in range(count):
        for block in blocks:
            if allowed([*block, label]):
                block.append(label)
                break
        else:
            blocks.append([label])
    if count <= _EXACT_PARTITION:
        for fewer in range(2, len(blocks)):
            found = _partitioned(count, fewer, allowed)
            if found is not None:
                return found
    return blocks


def _partitioned(count: int, limit: int, allowed: Callable[[Sequence[int]], bool]) -> list[list[int]] | None:
    blocks: list[list[int]] = []

    def search(label: int) -> bool:
        if label == count:
            return True
        for block in blocks:
            if allowed([*block, label]):
                block.append(label)
                if search(label + 1):
                    return True
                block.pop()
        if len(blocks) < limit:
            blocks.append([label])
            if search(label + 1):
                return True
            blocks.pop()
        return False

    return blocks if search(0) else None
