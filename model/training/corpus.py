# SPDX-License-Identifier: Apache-2.0
"""Reads, cleans and splits the three public-domain texts.

A document is one chapter of the King James Bible, one run of about 40 speeches
of Shakespeare, or one chapter of Frankenstein. A document is a list of units
(verse, speech, paragraph) and a joiner. All output is plain ASCII.
"""
import os
import re

# Slices (fractions of each text's bytes: start, length in bytes) which are never trained on.
HELDOUT = {
    "kjv": [(0.115, 36000), (0.315, 36000), (0.545, 36000), (0.78, 36000), (0.925, 36000)],
    "shakespeare": [(0.30, 24000), (0.70, 24000)],
    "frankenstein": [(0.55, 20000)],
}
# A further small slice of each, used only for the progress curve during training.
DEV = {
    "kjv": [(0.215, 16000), (0.70, 16000)],
    "shakespeare": [(0.50, 9000)],
    "frankenstein": [(0.25, 5000)],
}
FILES = {"kjv": "kjv_bible.txt", "shakespeare": "tinyshakespeare.txt", "frankenstein": "frankenstein.txt"}
ASCII = {"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2014": "--", "\u2013": "-",
         "\u00e6": "ae", "\u00e8": "e", "\u00e9": "e", "\u00ea": "e", "\u00f4": "o", "\ufeff": ""}


def to_ascii(s):
    for k, v in ASCII.items():
        s = s.replace(k, v)
    return s.encode("ascii", "ignore").decode()


def read_kjv(path):
    docs, last = [], None
    for line in open(path, encoding="utf-8"):
        m = re.match(r"(\w+?)(\d+):(\d+) (.*)", line.strip())
        if not m:
            continue
        key = (m.group(1), m.group(2))
        if key != last:
            docs.append([])
            last = key
        docs[-1].append(re.sub(r"\s+", " ", to_ascii(m.group(4))).strip())
    return docs


def read_shakespeare(path, per_doc=40):
    speeches = []
    for block in re.split(r"\n\s*\n", to_ascii(open(path, encoding="utf-8").read())):
        lines = [x.strip() for x in block.strip().split("\n") if x.strip()]
        if lines:
            speeches.append(re.sub(r"\s+", " ", " ".join(lines)))
    return [speeches[i:i + per_doc] for i in range(0, len(speeches), per_doc)]


def read_frankenstein(path):
    docs = [[]]
    for par in to_ascii(open(path, encoding="utf-8").read()).split("\n"):
        par = re.sub(r"\s+", " ", par).strip()
        if not par:
            continue
        if re.match(r"(Letter|Chapter) \d+$", par):
            if docs[-1]:
                docs.append([])
            continue
        docs[-1].append(par)
    out = []
    for d in docs:  # long chapters become pieces of about 6 kB
        cur, n = [], 0
        for p in d:
            cur.append(p)
            n += len(p)
            if n > 6000:
                out.append(cur)
                cur, n = [], 0
        if cur:
            out.append(cur)
    return out


READ = {"kjv": read_kjv, "shakespeare": read_shakespeare, "frankenstein": read_frankenstein}
JOIN = {"kjv": " ", "shakespeare": "\n", "frankenstein": "\n"}


def shingles(s, n=10):
    w = re.findall(r"[a-z']+", s.lower())
    return [" ".join(w[i:i + n]) for i in range(len(w) - n + 1)]


def load(folder):
    """Returns {"train": [...], "heldout": [...], "dev": [...]} of (source, units)."""
    parts = {"train": [], "heldout": [], "dev": []}
    for src, name in FILES.items():
        docs = READ[src](os.path.join(folder, name))
        total = sum(sum(len(u) + 1 for u in d) for d in docs)
        pos = 0
        for d in docs:
            where = "train"
            for part, table in (("heldout", HELDOUT), ("dev", DEV)):
                for frac, length in table[src]:
                    if frac * total <= pos < frac * total + length:
                        where = part
            parts[where].append((src, d))
            pos += sum(len(u) + 1 for u in d)
    # Drop training units that repeat one another or a held-out unit (parallel passages,
    # refrains, lists): they invite verbatim recitation and would flatter the held-out figure.
    seen = set()
    for part in ("heldout", "dev"):
        for _, d in parts[part]:
            for u in d:
                seen.update(shingles(u))
    kept, dropped = [], 0
    for src, d in parts["train"]:
        new = []
        for u in d:
            sh = shingles(u)
            if sh and sum(x in seen for x in sh) > 0.3 * len(sh):
                dropped += len(u)
                continue
            seen.update(sh)
            new.append(u)
        if new:
            kept.append((src, new))
    parts["train"] = kept
    parts["dropped_bytes"] = dropped
    return parts


def text(doc):
    src, units = doc
    return JOIN[src].join(units)


if __name__ == "__main__":
    import sys
    p = load(sys.argv[1])
    for k in ("train", "heldout", "dev"):
        by = {}
        for d in p[k]:
            by[d[0]] = by.get(d[0], 0) + len(text(d))
        print(k, len(p[k]), "documents", by, sum(by.values()))
    print("dropped as repeats", p["dropped_bytes"])
