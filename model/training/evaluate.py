# SPDX-License-Identifier: Apache-2.0
"""Measures the trained model on the held-out split and prints the acceptance figures.

    python evaluate.py TEXT_FOLDER MODEL_FOLDER [--seeds 12] [--write]

All figures use the bf16 weights of model.safetensors, computed in float32 unless said otherwise.
--write also stores training/metrics.json, reference.json, heldout.txt, loss.svg and samples.txt.
"""
import argparse
import csv
import json
import lzma
import math
import os
import re

import numpy as np
import torch

import corpus
import train

BOS, EOS = 1, 2
EXCERPT = {"kjv": 38000, "shakespeare": 12000, "frankenstein": 12000}


def sample(model, seeds, count, temperature):
    """`count` sampled ids per seed, starting from BOS; a sampled EOS is followed by BOS."""
    gens = []
    for s in seeds:
        g = torch.Generator()
        g.manual_seed(s)
        gens.append(g)
    ids = torch.full((len(seeds), 1), BOS, dtype=torch.int64)
    with torch.no_grad():
        cache = [None] * len(model.layers)
        for _ in range(count):
            p = torch.softmax(step(model, ids, cache) / temperature, -1)
            nxt = torch.stack([torch.multinomial(p[i], 1, generator=g) for i, g in enumerate(gens)])
            nxt = torch.where(ids[:, -1:] == EOS, torch.full_like(nxt, BOS), nxt)
            ids = torch.cat([ids, nxt], 1)
    return [r[1:] for r in ids.tolist()]


def step(model, ids, cache):
    """Logits of the last position with a key/value cache: an independent second
    formulation of Model.forward for one new position, straight from the definition."""
    F = torch.nn.functional
    n, eps = ids.shape[1] - 1, model.c["rms_norm_eps"]
    cos, sin = model.cos[n], model.sin[n]
    x = model.embed[ids[:, -1]]
    for i, l in enumerate(model.layers):
        b = x.shape[0]
        y = F.linear(train.rms(x, l.input_norm, eps), l.qkv).view(b, -1, l.d)
        q, k, v = y.split([l.nq, l.nkv, l.nkv], 1)
        q = train.rms(q, l.q_norm, eps)
        k = train.rms(k, l.k_norm, eps)
        q = q * cos + train.rotate_half(q) * sin
        k = k * cos + train.rotate_half(k) * sin
        k, v = k.unsqueeze(2), v.unsqueeze(2)  # b, heads, 1, d
        if cache[i] is not None:
            k = torch.cat([cache[i][0], k], 2)
            v = torch.cat([cache[i][1], v], 2)
        cache[i] = (k, v)
        q = q.view(b, l.nkv, l.nq // l.nkv, l.d)
        a = torch.softmax(q @ k.transpose(2, 3) / math.sqrt(l.d), -1) @ v
        x = x + F.linear(a.reshape(b, -1), l.o)
        h = train.rms(x, l.post_norm, eps)
        w, idx = torch.softmax(F.linear(h, l.router), -1).topk(l.k, -1)
        w = w / w.sum(-1, keepdim=True)
        gu = torch.einsum("eih,bh->bei", l.gate_up, h)
        g, u = gu.split(l.i, -1)
        out = torch.einsum("ehi,bei->beh", l.down, F.silu(g) * u)
        x = x + (out.gather(1, idx.unsqueeze(-1).expand(-1, -1, out.shape[-1])) * w.unsqueeze(-1)).sum(1)
    return F.linear(train.rms(x, model.norm, eps), model.embed)


def pieces(tok, ids):
    """Text of a sample; documents (divided by EOS/BOS) on separate paragraphs."""
    parts, cur = [], []
    for i in list(ids) + [BOS]:
        if i in (BOS, EOS):
            if cur:
                parts.append(tok.decode(cur))
            cur = []
        else:
            cur.append(i)
    return "\n\n".join(parts)


class Copies:
    """Longest run of ids that also occurs in the training stream."""

    def __init__(self, ids, n=6):
        self.ids, self.n = ids, n
        h = self.hash(ids)
        self.order = np.argsort(h, kind="stable")
        self.sorted = h[self.order]

    def hash(self, a):
        a = np.asarray(a, dtype=np.uint64)
        m = len(a) - self.n + 1
        h = np.zeros(max(m, 0), dtype=np.uint64)
        for j in range(self.n):
            h = h * np.uint64(1000003) + a[j:j + m] + np.uint64(1)
        return h

    def longest(self, s):
        best, where = 0, (0, 0)
        for i, x in enumerate(self.hash(s)):
            lo = np.searchsorted(self.sorted, x, "left")
            hi = np.searchsorted(self.sorted, x, "right")
            for p in self.order[lo:hi]:
                k = 0
                while i + k < len(s) and p + k < len(self.ids) and s[i + k] == self.ids[p + k]:
                    k += 1
                if k > best:
                    best, where = k, (i, int(p))
        return best, where


def words(text):
    return re.findall(r"[A-Za-z]+(?:'[A-Za-z]+)*", text)


def draw(rows, held, path):
    """The loss curve as a plain SVG: bits per byte against minutes."""
    w, h, l, r, t, b = 760, 420, 70, 20, 40, 56
    tr = [(float(x["minutes"]), x["train_bpb"]) for x in rows]
    dv = [(float(x["minutes"]), float(x["dev_bits_per_byte"])) for x in rows if x["dev_bits_per_byte"]]
    end = max(m for m, _ in tr)
    lo, hi = 1.2, 2.8
    xs = lambda m: l + (w - l - r) * m / end
    ys = lambda v: t + (h - t - b) * (hi - min(max(v, lo), hi)) / (hi - lo)
    o = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="sans-serif" font-size="13">' % (w, h, w, h),
         '<!-- SPDX-License-Identifier: Apache-2.0 -->',
         '<rect width="%d" height="%d" fill="#ffffff"/>' % (w, h),
         '<text x="%d" y="22" font-size="15" fill="#111">Training of the embedded mixture-of-experts model</text>' % l]
    v = lo
    while v <= hi + 1e-9:
        o.append('<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end" fill="#333">%.1f</text>' % (l, w - r, ys(v), ys(v), l - 8, ys(v) + 4, v))
        v += 0.2
    for m in range(0, int(end) + 1, 5 if end > 20 else 1):
        o.append('<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="#eee"/><text x="%.1f" y="%d" text-anchor="middle" fill="#333">%d</text>' % (xs(m), xs(m), t, h - b, xs(m), h - b + 18, m))
    o.append('<rect x="%d" y="%d" width="%d" height="%d" fill="none" stroke="#888"/>' % (l, t, w - l - r, h - t - b))
    o.append('<text x="%d" y="%d" text-anchor="middle" fill="#111">wall time (minutes)</text>' % ((l + w - r) // 2, h - 12))
    o.append('<text transform="translate(20 %d) rotate(-90)" text-anchor="middle" fill="#111">loss (bits per byte)</text>' % ((t + h - b) // 2))
    for pts, col, wd in ((tr, "#9dbbe0", 1.5), (dv, "#c0392b", 2)):
        o.append('<polyline fill="none" stroke="%s" stroke-width="%s" points="%s"/>' % (col, wd, " ".join("%.1f,%.1f" % (xs(m), ys(v)) for m, v in pts if v <= hi)))
    o.append('<circle cx="%.1f" cy="%.1f" r="4" fill="#1e7d34"/>' % (xs(end), ys(held)))
    for n, (col, s) in enumerate((("#9dbbe0", "training windows, with dropout (running mean)"), ("#c0392b", "development slice"), ("#1e7d34", "held-out split, final weights: %.3f" % held))):
        o.append('<rect x="%d" y="%d" width="14" height="4" fill="%s"/><text x="%d" y="%d" fill="#111">%s</text>' % (w - 365, t + 16 + 20 * n, col, w - 343, t + 22 + 20 * n, s))
    o.append("</svg>")
    open(path, "w").write("\n".join(o) + "\n")


def excerpt(parts):
    docs = []
    for src, limit in EXCERPT.items():
        n = 0
        cands = [d for d in parts["heldout"] if d[0] == src]
        # spread over the slices: take every third one first
        cands = cands[0::3] + cands[1::3] + cands[2::3]
        for d in cands:
            k = len(corpus.text(d)) + 2
            if n + k <= limit:
                docs.append(d)
                n += k
    return docs


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("texts")
    ap.add_argument("model")
    ap.add_argument("--seeds", type=int, default=12)
    ap.add_argument("--temperature", type=float, default=0.8)
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--write", action="store_true")
    a = ap.parse_args()
    torch.set_num_threads(a.threads)
    from tokenizers import Tokenizer
    tok = Tokenizer.from_file(os.path.join(a.model, "tokenizer.json"))
    parts = corpus.load(a.texts)
    model = train.load_model(a.model)
    c = model.c
    m = {"parameters": sum(p.numel() for p in model.parameters()), "vocab_size": c["vocab_size"]}
    m["model_bytes"] = os.path.getsize(os.path.join(a.model, "model.safetensors"))
    per_expert = 3 * c["hidden_size"] * c["moe_intermediate_size"]
    m["active_parameters_per_token"] = m["parameters"] - (c["num_experts"] - c["num_experts_per_tok"]) * per_expert * c["num_hidden_layers"]

    # bits per byte
    by = {}
    counts, emu_nats, nats, byts, toks = None, 0.0, 0.0, 0, 0
    for src in corpus.FILES:
        docs = [d for d in parts["heldout"] if d[0] == src]
        enc = train.encode(tok, docs)
        n, t, b, cnt = train.score(model, enc)
        en, _, _, _ = train.score(model, enc, emulate_bf16=True)
        raw = "\n".join(corpus.text(d) for d in docs).encode()
        by[src] = {"bytes": b, "tokens": t, "bits_per_byte": round(n / math.log(2) / b, 4),
                   "xz9_bits_per_byte": round(8 * len(lzma.compress(raw, preset=9)) / len(raw), 4)}
        nats, emu_nats, byts, toks = nats + n, emu_nats + en, byts + b, toks + t
        counts = cnt if counts is None else counts + cnt
    raw = "\n".join(corpus.text(d) for d in parts["heldout"]).encode()
    m["heldout"] = {"bytes": byts, "tokens": toks, "documents": len(parts["heldout"]),
                    "bits_per_byte": round(nats / math.log(2) / byts, 4),
                    "bits_per_byte_bf16_activations": round(emu_nats / math.log(2) / byts, 4),
                    "nats_per_token": round(nats / toks, 4), "perplexity_per_token": round(math.exp(nats / toks), 3),
                    "xz9_bits_per_byte": round(8 * len(lzma.compress(raw, preset=9)) / len(raw), 4), "by_text": by}
    # does the loss hold at late positions? first 1024 predictions of the longer documents
    late = torch.zeros(4)
    longer = [x for x in train.encode(tok, parts["heldout"]) if len(x[0]) >= 1024][:12]
    with torch.no_grad():
        for ids, _, _ in longer:
            lg = model(torch.tensor([[BOS] + ids[:1023]]))
            late += torch.nn.functional.cross_entropy(lg[0], torch.tensor(ids[:1024]), reduction="none").view(4, 256).mean(1)
    m["nats_per_token_by_position"] = {"documents": len(longer), **{
        "%d-%d" % (256 * i, 256 * i + 255): round(late[i].item() / len(longer), 4) for i in range(4)}}
    trace = []
    ids = train.encode(tok, parts["heldout"][:1])[0][0][:1023]
    with torch.no_grad():
        model(torch.tensor([[BOS] + ids]), trace=trace)
    m["max_abs_residual_by_layer"] = [round(x, 2) for x in trace]
    share = counts.float() / counts.sum(1, keepdim=True)
    m["expert_share"] = [[round(x, 4) for x in r] for r in share.tolist()]
    m["expert_share_min"] = round(share.min().item(), 4)
    m["expert_share_max"] = round(share.max().item(), 4)

    # samples
    vocab, exact = set(), set()
    for d in parts["train"]:
        w = words(corpus.text(d))
        exact.update(w)
        vocab.update(x.lower() for x in w)
    stream, _ = train.stream(train.encode(tok, parts["train"]))
    copies = Copies(stream)
    seeds = list(range(1, a.seeds + 1))
    texts, rows = [], []
    for s, ids in zip(seeds, sample(model, seeds, 512, a.temperature)):
        t = pieces(tok, ids)
        texts.append(t)
        w = words(t)
        run, (_, p) = copies.longest(ids)
        rows.append({"seed": s, "words": len(w), "known": round(sum(x.lower() in vocab for x in w) / len(w), 4),
                     "known_case_sensitive": round(sum(x in exact for x in w) / len(w), 4), "longest_copy_tokens": run,
                     "copy": tok.decode(stream[p:p + run].tolist())})
    m["samples"] = {"temperature": a.temperature, "tokens": 512, "seeds": rows,
                    "known_words_mean": round(float(np.mean([r["known"] for r in rows])), 4),
                    "known_words_min": min(r["known"] for r in rows),
                    "longest_copy_tokens_max": max(r["longest_copy_tokens"] for r in rows)}

    # the excerpt that the tests use
    ex = excerpt(parts)
    n = b = k = 0
    with torch.no_grad():
        for d in ex:
            ids = tok.encode(corpus.text(d)).ids[:512]
            lg = model(torch.tensor([ids[:-1]]))
            n += torch.nn.functional.cross_entropy(lg[0], torch.tensor(ids[1:]), reduction="sum").double().item()
            k += len(ids) - 1
            b += len(tok.decode(ids).encode())
    m["heldout_excerpt"] = {"protocol": "documents divided by an empty line; each encoded with BOS, cut to 512 ids, scored on its own; no EOS",
                            "documents": len(ex), "scored_tokens": k, "scored_bytes": b, "nats": round(n, 3),
                            "nats_per_token": round(n / k, 5), "perplexity_per_token": round(math.exp(n / k), 4),
                            "bits_per_byte": round(n / math.log(2) / b, 4)}

    # greedy reference
    ids = [BOS]
    with torch.no_grad():
        cache = [None] * len(model.layers)
        margin = float("inf")
        for _ in range(40):
            top = step(model, torch.tensor([ids]), cache)[0].topk(2)
            margin = min(margin, (top.values[0] - top.values[1]).item())
            ids.append(int(top.indices[0]))
        full = model(torch.tensor([ids]))[0]
        again = full[:-1].argmax(-1).tolist()
    assert again == ids[1:], "the two formulations disagree"
    emu = [BOS]
    with torch.no_grad():
        while len(emu) < len(ids):
            emu.append(int(model(torch.tensor([emu]), emulate_bf16=True)[0, -1].argmax()))
    same = next((i for i, (x, y) in enumerate(zip(ids, emu)) if x != y), len(ids)) - 1
    m["greedy"] = {"same_ids_with_bf16_activations": same, "text": pieces(tok, ids), "smallest_top2_margin": round(margin, 4)}
    at = [0, 7, 15]
    ref = {"prompt": [BOS], "greedy": ids, "logits_positions": at,
           "logits": [[round(x, 5) for x in full[p].tolist()] for p in at]}

    accept = {
        "bits_per_byte <= 2.1": m["heldout"]["bits_per_byte"] <= 2.1,
        "bits_per_byte (bf16 activations) <= 2.1": m["heldout"]["bits_per_byte_bf16_activations"] <= 2.1,
        "known words >= 0.95 for every seed": m["samples"]["known_words_min"] >= 0.95,
        "no copy of more than 24 tokens": m["samples"]["longest_copy_tokens_max"] <= 24,
        "every expert >= 2 % in each layer": m["expert_share_min"] >= 0.02,
    }
    m["accepted"] = accept
    print(json.dumps({x: y for x, y in m.items() if x != "samples"}, indent=1))
    for r in rows:
        print("seed %(seed)d: %(words)d words, known %(known).4f (with case %(known_case_sensitive).4f), longest copy %(longest_copy_tokens)d: %(copy)r" % r)
    print("\n--- seed 1\n" + texts[0] + "\n")
    for k, v in accept.items():
        print("%-45s %s" % (k, "ok" if v else "FAILED"))
    if a.write:
        out = os.path.join(a.model, "training")
        json.dump(m, open(os.path.join(out, "metrics.json"), "w"), indent=1)
        json.dump(ref, open(os.path.join(out, "reference.json"), "w"))
        with open(os.path.join(out, "heldout.txt"), "w") as f:
            f.write("\n\n".join(corpus.text(d) for d in ex) + "\n")
        with open(os.path.join(out, "samples.txt"), "w") as f:
            for s, t in list(zip(seeds, texts))[:4]:
                f.write("=== seed %d, temperature %.1f, 512 tokens\n%s\n\n" % (s, a.temperature, t))
        log = list(csv.DictReader(open(os.path.join(out, "loss.csv"))))
        per_token = byts / toks
        for x in log:
            x["train_bpb"] = float(x["train_loss_nats_per_token"]) / math.log(2) / per_token
        draw(log, m["heldout"]["bits_per_byte"], os.path.join(out, "loss.svg"))


if __name__ == "__main__":
    main()
