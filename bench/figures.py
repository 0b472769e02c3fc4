#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tables for the documents, from the JSON of `tandem bench kernel`.

figures.py RUN.json [RUN.json ..]               prints every block
figures.py RUN.json [..] --into FILE [--check]  replaces what stands between <!-- figures:begin NAME --> and
                                                <!-- figures:end NAME --> in FILE; --check only says whether it would

Blocks: machine, limits, kernels, rows, peers, targets. Several runs are read as one; of two rows of the same
configuration the later file's counts.
"""
import argparse
import json
import re
import statistics
import sys

OUR_ORDER = ["avx512_vnni", "avx512", "avx2", "neon_dot", "neon", "portable"]


def key_of(row):
    return tuple(str(row[name]) for name in ("family", "types", "layout", "math", "detail", "m", "n", "k", "threads", "who", "flags"))


class Runs:
    def __init__(self, paths):
        self.runs = [json.load(open(path, encoding="utf-8")) for path in paths]
        rows = {}
        for run in self.runs:
            for row in run["rows"]:
                row["held"] = run["settings"].get("peers_held_to_avx2", False)
                rows[key_of(row) + (row["held"] and not row["ours"],)] = row
        self.rows = list(rows.values())
        self.missing = sorted({text for run in self.runs for text in run["not_shown"]})

    def ours(self, **wanted):
        return [row for row in self.rows if row["ours"] and matches(row, wanted)]


def matches(row, wanted):
    for name, value in wanted.items():
        if callable(value):
            if not value(row[name]):
                return False
        elif isinstance(value, (tuple, list)):
            if row[name] not in value:
                return False
        elif row[name] != value:
            return False
    return True


def percent(share):
    return "-" if share is None else f"{100 * share:.0f} %"


def table(head, lines):
    out = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(out + ["| " + " | ".join(line) + " |" for line in lines])


def order(row):
    place = OUR_ORDER.index(row["who"]) if row["who"] in OUR_ORDER else 9
    return (row["threads"], row["k"] * row["n"], row["k"], row["types"], row["layout"], row["math"], row["detail"], place)


def block_machine(runs):
    m = runs.runs[0]["machine"]
    s = runs.runs[0]["settings"]
    caches = f"L1d {m['l1d_bytes'] >> 10} KiB, L2 {m['l2_bytes'] >> 10} KiB a core, L3 {m['l3_bytes'] >> 20} MiB"
    return (f"{m['cpu']}, {m['cores']} cores, {caches}, {m['memory_bytes'] >> 30} GiB; {m['kernel']}; {m['compiler']}, "
            f"{m['flags'].strip()}; {m['date'][:10]}, revision {m['revision'] or 'unknown'}. Medians of {s['rounds']} "
            f"alternating rounds; weights rotate through {s['pool_bytes'] >> 20} MiB.")


def middle(values):
    values = sorted(values)
    return values[len(values) // 2] if values else None


def block_limits(runs):
    lines = []
    names = sorted({(row["threads"], name) for row in runs.rows for name in row["limits"]})
    for threads, name in names:
        values = [row["limits"][name] for row in runs.rows if row["threads"] == threads and name in row["limits"]]
        unit = "GB/s" if name == "read" or name.endswith("copy") else "GFLOP/s" if name.startswith("fma") else "GOP/s"
        lines.append([name, str(threads), f"{middle(values):.1f} {unit}", f"{min(values):.1f} - {max(values):.1f}"])
    return table(["limit", "threads", "median of all groups", "range"], lines)


def cell(row):
    if row is None:
        return ""
    if row["m"] == 1:
        return f"{row['gbps']:.1f} GB/s, {percent(row['share_of_memory_limit'])}"
    return f"{row['gflops']:.0f}, {percent(row['share_of_roofline'])}"


def shown(runs, row):
    """Documents show one shape; the others are in the files they were made from."""
    shapes = sorted({(other["k"], other["n"]) for other in runs.rows if other["k"] > 0})
    return (row["k"], row["n"]) == shapes[len(shapes) // 2]


def block_kernels(runs):
    products = [row for row in runs.rows if row["ours"] and row["k"] > 0 and not row["held"] and shown(runs, row)]
    rows_of_m = sorted({row["m"] for row in products})
    groups = {}
    for row in sorted(products, key=order):
        name = (row["threads"], f"{row['k']}x{row['n']}", row["family"], row["types"], row["detail"], row["layout"], row["math"], row["who"])
        groups.setdefault(name, {})[row["m"]] = row
    lines = []
    for (threads, shape, family, types, detail, layout, math, who), by_m in groups.items():
        what = (types if family in ("gemm", "int8", "int4xint8", "transposed") else f"{family}, {types}") + (f" ({detail})" if detail else "")
        lines.append([what, layout, math, shape, str(threads), who] + [cell(by_m.get(m)) for m in rows_of_m])
    head = ["product", "layout", "math", "K x N", "threads", "table"]
    return table(head + [f"M = {m}: " + ("share of read" if m == 1 else "GFLOP/s, share of roofline") for m in rows_of_m], lines)


def block_rows(runs):
    lines = {}
    for row in sorted((row for row in runs.rows if row["ours"] and row["k"] == 0 and row["family"] != "attention"), key=order):
        name = (row["family"], row["types"], row["threads"], row["who"])
        lines.setdefault(name, {})[row["layout"]] = f"{row['gbps']:.1f} GB/s, {percent(row['share_of_memory_limit'])}"
    body = [[family, types, str(threads), who, by.get("memory", ""), by.get("L2", "")] for (family, types, threads, who), by in lines.items()]
    text = table(["operator", "types", "threads", "table", "from memory, share of copy", "in L2, share of L2's copy"], body)
    attention = [[row["types"], str(row["m"]), str(row["threads"]), row["who"], f"{row['gbps']:.1f} GB/s, {percent(row['share_of_memory_limit'])}"]
                 for row in sorted((row for row in runs.rows if row["family"] == "attention"), key=order)]
    if attention:
        text += "\n\n" + table(["decoding attention", "sequences", "threads", "table", "cache read, share of read"], attention)
    return text


def same_problem(a, b):
    return all(a[name] == b[name] for name in ("family", "types", "detail", "m", "n", "k", "threads"))


def block_peers(runs):
    """Our fastest exact row of a problem beside each peer's; avx2 beside peers held to AVX2."""
    lines = []
    peers = [row for row in runs.rows if not row["ours"] and shown(runs, row)]
    for peer in sorted(peers, key=lambda row: (row["threads"], row["k"] * row["n"], row["types"], row["detail"], row["m"], row["who"])):
        rivals = [row for row in runs.rows if row["ours"] and same_problem(row, peer) and row["math"] == "exact" and row["layout"] == "packed"
                  and row["held"] == peer["held"] and (row["who"] == "avx2") >= peer["held"]]
        if not rivals:
            continue
        best = min(rivals, key=lambda row: row["median_us"])
        parts = peer["flags"].split("; ")
        name = f"{peer['who']} {peer['version']}, {parts[0]}" + (f", {parts[2]}" if len(parts) > 2 and parts[2] else "")
        lines.append([f"{peer['types']}{', ' + peer['detail'] if peer['detail'] else ''}", f"{peer['k']}x{peer['n']}", str(peer["m"]),
                      str(peer["threads"]), f"{best['who']} {best['median_us']:.0f} us",
                      name + (", held to AVX2" if peer["held"] else "") + f" {peer['median_us']:.0f} us", f"{peer['median_us'] / best['median_us']:.2f}"])
    text = table(["product", "K x N", "M", "threads", "ours", "peer", "ratio"], lines)
    return text + "".join(f"\n\nNot shown: {text}." for text in runs.missing if text.startswith("comparison"))


FLOATS = ("f16xf16", "bf16xbf16", "f16xi8", "f16xi4", "bf16xi8", "bf16xi4")


def at_least_128(m):
    return m >= 128



def product_targets():
    """(what, rows, metric, least by rows of M and threads); metric is a field of a row."""
    roof = "share_of_roofline"
    read = "share_of_memory_limit"
    every = [("f32, packed", dict(types="f32xf32", layout="packed"), [(at_least_128, .95), (32, .90)])]
    every += [(f"{types}, packed", dict(types=types, layout="packed", math="exact"), [(at_least_128, .93), (32, .88), (8, .72)]) for types in FLOATS]
    every += [(f"{types}, row-major", dict(types=types, layout="row", math="exact"), [(at_least_128, .90), (32, .80), (8, .55)]) for types in FLOATS]
    for what, wanted, steps in every:
        for m, least in steps:
            yield what, dict(wanted, family="gemm", m=m), roof, least
    decode = [("f16 and bf16, packed", dict(types=("f16xf16", "bf16xbf16"), layout="packed"), {1: .85, 2: .90}),
              ("int8 with offset, packed", dict(types=("f16xi8", "bf16xi8"), layout="packed", math="exact"), {1: .70, 2: .90}),
              ("int8 with offset, row-major", dict(types=("f16xi8", "bf16xi8"), layout="row", math="exact"), {1: .60, 2: .72}),
              ("int4-g128 with offset, packed", dict(types=("f16xi4", "bf16xi4"), layout="packed", math="exact"), {1: .42, 2: .62}),
              ("int4-g128 with offset, packed, fast", dict(types=("f16xi4", "bf16xi4"), layout="packed", math="fast"), {1: .70, 2: .85})]
    for what, wanted, steps in decode:
        for threads, least in steps.items():
            yield what, dict(wanted, family="gemm", m=1, threads=threads, detail=lambda d: "offset" in d or d == ""), read, least
    yield "int8 x int8, of the vpmaddwd + vpaddd loop", dict(family="int8", m=at_least_128), "share_of_madd", .88
    yield "int8 x int8, packed", dict(family="int8", m=1, threads=2, layout="packed"), read, .90
    yield "int4 x int8, of FMA peak", dict(family="int4xint8", m=at_least_128), "share_of_fma_peak", 2.3
    for m, least in ((at_least_128, 1.45), (32, 1.25), (8, 1.0)):
        yield "fast, int8 and int4 weights, of FMA peak", dict(family="gemm", types=("f16xi8", "f16xi4", "bf16xi8", "bf16xi4"), layout="packed", math="fast", m=m), "share_of_fma_peak", least
    for place, least in (("memory", .85), ("L2", .60)):
        for name in ("add_rms_norm", "rope", "quantize", "dynamic_quant"):
            yield f"{name}, {'out of cache' if place == 'memory' else 'in L2'}, of copy", dict(family=name, layout=place), read, least


def metric_of(row, metric):
    if metric != "share_of_madd":
        return row[metric]
    width = "avx2" if row["who"] == "avx2" else "avx512"
    loop = row["limits"].get("madd " + width)
    return row["gflops"] / loop if loop else None


def judged(values, least):
    if not values:
        return "not shown", ""
    low, high, usual = min(values), max(values), statistics.median(values)
    seen = percent(usual) if percent(low) == percent(high) else f"{percent(usual)} ({100 * low:.0f} - {100 * high:.0f})"
    return verdict_of([value >= least for value in values], usual >= least), seen


def verdict_of(each, usual):
    """Every configuration, their median, or not even that."""
    return "met" if all(each) else "met by the median" if usual else "missed"


def words_of_m(wanted):
    m = wanted.get("m")
    return "" if m is None else "M >= 128" if callable(m) else f"M = {m}"


def relative_targets(runs):
    """Targets that compare two rows of ours, or ours with a peer."""
    rows = runs.ours(family="tree", math="exact")
    cost = [row["median_us"] / other["median_us"] - 1 for row in rows for other in runs.ours(family="tree", math="one leaf")
            if same_problem(row, other) and row["who"] == other["who"]]
    yield "cost of the fixed tree (8 leaves against 1)", "", "<= 2 %", cost, lambda v: v <= .02
    for text, m, most in (("transposed / packed", 1, 1.6), ("transposed / packed", at_least_128, 1.1), ("transposed / packed", 32, 1.1)):
        turned = [row["median_us"] / other["median_us"] for row in runs.ours(layout="transposed", m=m, math="exact")
                  for other in runs.ours(layout="packed", m=m, math="exact") if same_problem(row, other) and row["who"] == other["who"]]
        yield text, words_of_m(dict(m=m)), f"<= {most} x", turned, lambda v, most=most: v <= most
    ratio = [row["ratios"][name] for row in runs.ours(family="gemm", types="f32xf32", layout="packed", m=lambda m: m >= 32)
             for name in row["ratios"] if name.startswith("openblas") and (row["who"] == "avx2") == row["held"]]
    yield "f32 against OpenBLAS", "M >= 32", ">= 1.05 x", ratio, lambda v: v >= 1.05


def block_targets(runs):
    lines = []
    tables = [name for name in OUR_ORDER if any(row["who"] == name for row in runs.rows)]
    for what, wanted, metric, least in product_targets():
        cells = []
        for name in tables:
            rows = runs.ours(who=name, **wanted)
            values = [value for value in (metric_of(row, metric) for row in rows) if value is not None]
            verdict, seen = judged(values, least)
            cells.append(f"{verdict}: {seen}" if seen else verdict)
        threads = f", {wanted['threads']} threads" if wanted.get("threads", 1) != 1 else ", 1 thread" if "threads" in wanted else ""
        lines.append([what, (words_of_m(wanted) + threads).strip(", "), f">= {percent(least)}"] + cells)
    head = table(["target", "rows", "wanted"] + tables, lines)
    more = []
    for what, rows, wanted, values, good in relative_targets(runs):
        usual = statistics.median(values) if values else None
        verdict = verdict_of([good(value) for value in values], good(usual)) if values else "not shown"
        seen = f"{usual:.2f} ({min(values):.2f} - {max(values):.2f})" if values else ""
        more.append([what, rows, wanted, verdict, seen])
    return head + "\n\n" + table(["target", "rows", "wanted", "verdict", "median (range)"], more)


BLOCKS = {"machine": block_machine, "limits": block_limits, "kernels": block_kernels, "rows": block_rows, "peers": block_peers,
          "targets": block_targets}


def filled(text, runs):
    """The document with every marked block made anew."""
    for name, make in BLOCKS.items():
        begin, end = f"<!-- figures:begin {name} -->", f"<!-- figures:end {name} -->"
        if begin in text:
            text = re.sub(re.escape(begin) + ".*?" + re.escape(end), lambda _: f"{begin}\n{make(runs)}\n{end}", text, flags=re.S)
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", help="JSON of tandem bench kernel --out")
    parser.add_argument("--into", help="document with marked blocks")
    parser.add_argument("--check", action="store_true", help="change nothing; exit code 1 where the document is not up to date")
    options = parser.parse_args()
    runs = Runs(options.runs)
    if not options.into:
        for name, make in BLOCKS.items():
            print(f"## {name}\n\n{make(runs)}\n")
        return 0
    with open(options.into, encoding="utf-8") as file:
        old = file.read()
    new = filled(old, runs)
    if options.check:
        return int(new != old)
    with open(options.into, "w", encoding="utf-8") as file:
        file.write(new)
    return 0


if __name__ == "__main__":
    sys.exit(main())
