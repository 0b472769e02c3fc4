# SPDX-License-Identifier: Apache-2.0
"""Trains the embedded mixture-of-experts language model from scratch on a CPU.

    python tokenizer.py TEXT_FOLDER MODEL_FOLDER
    python train.py     TEXT_FOLDER MODEL_FOLDER --minutes 54
    python evaluate.py  TEXT_FOLDER MODEL_FOLDER

TEXT_FOLDER holds kjv_bible.txt, tinyshakespeare.txt and frankenstein.txt.
Needs PyTorch (1.13 or later; 2.x is faster), NumPy and tokenizers.
"""
import argparse
import csv
import json
import math
import os
import random
import struct
import time

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

import corpus

CONFIG = {
    "architectures": ["Qwen3MoeForCausalLM"],
    "model_type": "qwen3_moe",
    "hidden_size": 256,
    "intermediate_size": 256,
    "moe_intermediate_size": 128,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 32,
    "num_experts": 8,
    "num_experts_per_tok": 2,
    "norm_topk_prob": True,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
    "router_aux_loss_coef": 0.01,
    "output_router_logits": False,
    "vocab_size": 3072,
    "max_position_embeddings": 1024,
    "rms_norm_eps": 1e-06,
    "rope_theta": 10000.0,
    "rope_scaling": None,
    "hidden_act": "silu",
    "tie_word_embeddings": True,
    "attention_bias": False,
    "attention_dropout": 0.0,
    "use_sliding_window": False,
    "sliding_window": None,
    "use_cache": True,
    "initializer_range": 0.02,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "torch_dtype": "bfloat16",
}


def bf16(x):
    return x.to(torch.bfloat16).to(torch.float32)


def ident(x):
    return x


class Gather(torch.autograd.Function):
    """x[token] for each (token, choice) pair sorted by expert; the backward pass is a gather too."""

    @staticmethod
    def forward(ctx, x, order, inverse, k):
        ctx.save_for_backward(inverse)
        ctx.k = k
        return x.index_select(0, torch.div(order, k, rounding_mode="floor"))

    @staticmethod
    def backward(ctx, g):
        inverse, = ctx.saved_tensors
        return g.index_select(0, inverse).view(-1, ctx.k, g.shape[1]).sum(1), None, None, None


class Permute(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, perm, inverse):
        ctx.save_for_backward(inverse)
        return x.index_select(0, perm)

    @staticmethod
    def backward(ctx, g):
        inverse, = ctx.saved_tensors
        return g.index_select(0, inverse), None, None


def dropout(x, p, training):
    """As F.dropout, with one random byte per element (much cheaper on a CPU)."""
    if not training or p <= 0:
        return x
    n = x.numel()
    rnd = torch.empty((n + 7) // 8, dtype=torch.int64).random_(-2 ** 63, None).view(torch.uint8)[:n]
    cut = int(round(p * 256))
    return x * (rnd >= cut).to(x.dtype).mul_(256.0 / (256 - cut)).view(x.shape)


def rms(x, w, eps):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * w


def rope_tables(c, n):
    d = c["head_dim"]
    inv = 1.0 / (c["rope_theta"] ** (torch.arange(0, d, 2, dtype=torch.float32) / d))
    a = torch.outer(torch.arange(n, dtype=torch.float32), inv)
    a = torch.cat([a, a], -1)
    return a.cos(), a.sin()


def rotate_half(x):
    h = x.shape[-1] // 2
    return torch.cat([-x[..., h:], x[..., :h]], -1)


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        h, d, i, e = c["hidden_size"], c["head_dim"], c["moe_intermediate_size"], c["num_experts"]
        self.nq, self.nkv, self.d, self.k, self.e = c["num_attention_heads"], c["num_key_value_heads"], d, c["num_experts_per_tok"], e
        self.i, self.eps = i, c["rms_norm_eps"]
        s = 0.02
        so = s / math.sqrt(2 * c["num_hidden_layers"])
        self.input_norm = nn.Parameter(torch.ones(h))
        self.post_norm = nn.Parameter(torch.ones(h))
        self.q_norm = nn.Parameter(torch.ones(d))
        self.k_norm = nn.Parameter(torch.ones(d))
        self.qkv = nn.Parameter(torch.randn((self.nq + 2 * self.nkv) * d, h) * s)
        self.o = nn.Parameter(torch.randn(h, self.nq * d) * so)
        self.router = nn.Parameter(torch.randn(e, h) * s)
        self.gate_up = nn.Parameter(torch.randn(e, 2 * i, h) * s)
        self.down = nn.Parameter(torch.randn(e, h, i) * so)

    def attention(self, x, cos, sin, r):
        b, t, _ = x.shape
        d, nq, nkv = self.d, self.nq, self.nkv
        y = r(F.linear(x, self.qkv)).view(b, t, nq + 2 * nkv, d)
        q, k, v = y.split([nq, nkv, nkv], 2)
        q = r(rms(q, self.q_norm, self.eps)).transpose(1, 2)
        k = r(rms(k, self.k_norm, self.eps)).transpose(1, 2)
        v = v.transpose(1, 2)
        q = r(q * cos + rotate_half(q) * sin)
        k = r(k * cos + rotate_half(k) * sin)
        k = k.repeat_interleave(nq // nkv, 1)
        v = v.repeat_interleave(nq // nkv, 1)
        if hasattr(F, "scaled_dot_product_attention"):
            a = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            w = q @ k.transpose(2, 3) / math.sqrt(d)
            w = w.masked_fill(torch.ones(t, t, dtype=torch.bool).triu(1), float("-inf"))
            a = torch.softmax(w, -1) @ v
        a = r(a.transpose(1, 2).reshape(b, t, nq * d))
        return r(F.linear(a, self.o))

    def moe(self, x, r, stats):
        shape = x.shape
        x = x.reshape(-1, shape[-1])
        logits = F.linear(x, self.router)
        p = torch.softmax(logits, -1)
        w, idx = p.topk(self.k, -1)
        w = w / w.sum(-1, keepdim=True)
        flat = idx.reshape(-1)
        order = torch.argsort(flat, stable=True)
        inverse = torch.empty_like(order)
        inverse[order] = torch.arange(order.numel())
        counts = torch.bincount(flat, minlength=self.e)
        stats.append((counts, p, logits))
        xs = Gather.apply(x, order, inverse, self.k)
        parts = []
        for xe, gate_up, down in zip(xs.split(counts.tolist()), self.gate_up.unbind(0), self.down.unbind(0)):
            g, u = r(F.linear(xe, gate_up)).split(self.i, -1)
            parts.append(r(F.linear(r(F.silu(g) * u), down)))
        y = Permute.apply(torch.cat(parts), inverse, order).view(-1, self.k, shape[-1])
        return r((y * w.unsqueeze(-1)).sum(1)).view(shape)


class Model(nn.Module):
    def __init__(self, c, dropout=0.0):
        super().__init__()
        self.c, self.p = c, dropout
        self.embed = nn.Parameter(torch.randn(c["vocab_size"], c["hidden_size"]) * 0.02)
        self.layers = nn.ModuleList([Layer(c) for _ in range(c["num_hidden_layers"])])
        self.norm = nn.Parameter(torch.ones(c["hidden_size"]))
        cos, sin = rope_tables(c, c["max_position_embeddings"])
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def forward(self, ids, stats=None, emulate_bf16=False, trace=None):
        """emulate_bf16 rounds every stored activation to bf16, as the C++ runtime does."""
        r = bf16 if emulate_bf16 else ident
        stats = [] if stats is None else stats
        t, eps = ids.shape[1], self.c["rms_norm_eps"]
        cos, sin = self.cos[:t], self.sin[:t]
        x = dropout(F.embedding(ids, self.embed), self.p, self.training)
        for l in self.layers:
            a = l.attention(r(rms(x, l.input_norm, eps)), cos, sin, r)
            x = r(x + dropout(a, self.p, self.training))
            m = l.moe(r(rms(x, l.post_norm, eps)), r, stats)
            x = r(x + dropout(m, self.p, self.training))
            if trace is not None:
                trace.append(x.detach().abs().max().item())
        return F.linear(r(rms(x, self.norm, eps)), self.embed)

    def named_tensors(self):
        """Hugging Face names -> tensors."""
        out = {"model.embed_tokens.weight": self.embed}
        for n, l in enumerate(self.layers):
            p = "model.layers.%d." % n
            q, k, v = l.qkv.split([l.nq * l.d, l.nkv * l.d, l.nkv * l.d], 0)
            out[p + "input_layernorm.weight"] = l.input_norm
            out[p + "self_attn.q_proj.weight"] = q
            out[p + "self_attn.k_proj.weight"] = k
            out[p + "self_attn.v_proj.weight"] = v
            out[p + "self_attn.o_proj.weight"] = l.o
            out[p + "self_attn.q_norm.weight"] = l.q_norm
            out[p + "self_attn.k_norm.weight"] = l.k_norm
            out[p + "post_attention_layernorm.weight"] = l.post_norm
            out[p + "mlp.gate.weight"] = l.router
            for e in range(l.e):
                g, u = l.gate_up[e].split(l.i, 0)
                out[p + "mlp.experts.%d.gate_proj.weight" % e] = g
                out[p + "mlp.experts.%d.up_proj.weight" % e] = u
                out[p + "mlp.experts.%d.down_proj.weight" % e] = l.down[e]
        out["model.norm.weight"] = self.norm
        return out


def save_safetensors(path, tensors):
    header, blobs, pos = {"__metadata__": {"format": "pt"}}, [], 0
    for name, t in tensors.items():
        b = t.detach().to(torch.bfloat16).contiguous().view(torch.int16).numpy().tobytes()
        header[name] = {"dtype": "BF16", "shape": list(t.shape), "data_offsets": [pos, pos + len(b)]}
        blobs.append(b)
        pos += len(b)
    h = json.dumps(header, separators=(",", ":")).encode()
    h += b" " * (-len(h) % 8)
    with open(path + ".tmp", "wb") as f:
        f.write(struct.pack("<Q", len(h)) + h)
        for b in blobs:
            f.write(b)
    os.replace(path + ".tmp", path)


def load_safetensors(path):
    raw = open(path, "rb").read()
    n = struct.unpack("<Q", raw[:8])[0]
    out = {}
    for name, m in json.loads(raw[8:8 + n]).items():
        if name == "__metadata__":
            continue
        a, b = m["data_offsets"]
        v = np.frombuffer(raw[8 + n + a:8 + n + b], dtype=np.uint16).astype(np.uint32) << 16
        out[name] = torch.from_numpy(v.view(np.float32).reshape(m["shape"]).copy())
    return out


def load_model(folder):
    c = json.load(open(os.path.join(folder, "config.json")))
    m = Model(c)
    w = load_safetensors(os.path.join(folder, "model.safetensors"))
    names = m.named_tensors()
    assert set(names) == set(w), set(names) ^ set(w)
    with torch.no_grad():
        for k, t in names.items():  # views into the fused parameters
            assert t.shape == w[k].shape
            t.copy_(w[k])
    return m.eval()


# ---------------------------------------------------------------- data

def encode(tok, docs):
    """Per document: ids (no BOS) + EOS, its byte count and the positions where units start."""
    out = []
    for d in docs:
        t = corpus.text(d)
        enc = tok.encode(t, add_special_tokens=False)
        starts, want, pos = [], set(), 0
        for u in d[1]:
            want.add(pos)
            pos += len(u) + 1
        # walk the pieces to find the token at which each unit begins
        at = -1  # the prepended space
        for i, p in enumerate(enc.tokens):
            n = 1 if p.startswith("<0x") else len(p)
            if at + (1 if p.startswith("\u2581") else 0) in want:
                starts.append(i)
            at += n
        out.append((enc.ids + [2], len(t), starts))
    return out


def stream(docs):
    ids, starts = [], []
    for x, _, s in docs:
        starts += [len(ids) + 1 + i for i in s]
        ids += [1] + x
    return np.array(ids, dtype=np.int64), np.array(sorted(set(starts)), dtype=np.int64)


def windows(ids, starts, length, rng):
    """One epoch of windows: BOS followed by `length` ids from the beginning of a unit."""
    pos, out = rng.randrange(length), []
    while True:
        j = np.searchsorted(starts, pos)
        if j >= len(starts) or starts[j] + length > len(ids):
            break
        out.append(int(starts[j]))
        pos = int(starts[j]) + length - rng.randrange(32)
    rng.shuffle(out)
    return out


class Batches:
    def __init__(self, ids, starts, seed):
        self.ids, self.starts, self.rng, self.queue, self.length = ids, starts, random.Random(seed), [], 0
        self.seen = 0

    def get(self, tokens, length):
        n = tokens // length
        if length != self.length:
            self.queue, self.length = [], length
        while len(self.queue) < n:
            self.queue += windows(self.ids, self.starts, length, self.rng)
        take, self.queue = self.queue[:n], self.queue[n:]
        self.seen += n * length
        y = np.stack([self.ids[p:p + length] for p in take])
        x = np.concatenate([np.ones((n, 1), dtype=np.int64), y[:, :-1]], 1)
        return torch.from_numpy(x), torch.from_numpy(y)


def score(model, docs, context=1024, **kw):
    """(nats, tokens, bytes, expert counts) over whole documents; each begins with BOS,
    longer ones are continued in windows that overlap by half."""
    nats, toks, byts, counts = 0.0, 0, 0, None
    with torch.no_grad():
        for ids, nbytes, _ in docs:
            full = [1] + ids
            begin = done = 0  # predictions for full[1:done+1] are counted
            while done < len(full) - 1:
                x = full[begin:begin + context]
                y = full[begin + 1:begin + context + 1]
                x = x[:len(y)]
                if begin:
                    x = [1] + x[1:]
                stats = []
                lg = model(torch.tensor([x]), stats, **kw)
                ce = F.cross_entropy(lg[0], torch.tensor(y), reduction="none")
                skip = done - begin
                nats += ce[skip:].double().sum().item()
                toks += len(y) - skip
                c = torch.stack([s[0] for s in stats])
                counts = c if counts is None else counts + c
                done = begin + len(y)
                begin = done - context // 2
            byts += nbytes
    return nats, toks, byts, counts


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("texts")
    ap.add_argument("model")
    ap.add_argument("--minutes", type=float, default=54)
    ap.add_argument("--lr", type=float, default=2.5e-3)
    ap.add_argument("--batch", type=int, default=4096, help="tokens per step")
    ap.add_argument("--dropout", type=float, default=0.15)
    ap.add_argument("--decay", type=float, default=0.1)
    ap.add_argument("--aux", type=float, default=0.01)
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--checkpoint", default="checkpoint.pt")
    ap.add_argument("--log", default=None)
    ap.add_argument("--resume", action="store_true", help="continue from the checkpoint")
    a = ap.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)
    from tokenizers import Tokenizer
    tok = Tokenizer.from_file(os.path.join(a.model, "tokenizer.json"))
    parts = corpus.load(a.texts)
    ids, starts = stream(encode(tok, parts["train"]))
    dev = encode(tok, parts["dev"])
    c = dict(CONFIG, vocab_size=tok.get_vocab_size(), router_aux_loss_coef=a.aux)
    model = Model(c, a.dropout)
    total = sum(p.numel() for p in model.parameters())
    print("parameters %d, training tokens %d, unit starts %d" % (total, len(ids), len(starts)), flush=True)
    decay = [p for n, p in model.named_parameters() if p.dim() > 1]
    plain = [p for n, p in model.named_parameters() if p.dim() == 1]
    groups = [{"params": decay, "weight_decay": a.decay}, {"params": plain, "weight_decay": 0.0}]
    try:
        opt = torch.optim.AdamW(groups, lr=a.lr, betas=(0.9, 0.98), eps=1e-8, fused=True)
    except (TypeError, RuntimeError):
        opt = torch.optim.AdamW(groups, lr=a.lr, betas=(0.9, 0.98), eps=1e-8)
    data = Batches(ids, starts, a.seed)
    log_path = a.log or os.path.join(a.model, "training", "loss.csv")
    budget, t0, step, run, last_save = a.minutes * 60, time.time(), 0, None, time.time()
    eval_every = 0.025
    next_eval = 0.0
    old = []
    if a.resume:
        ck = torch.load(a.checkpoint)
        model.load_state_dict(ck["model"])
        opt.load_state_dict(ck["opt"])
        step, run, data.seen = ck["step"], ck["run"], ck["seen"]
        t0 -= ck["elapsed"]
        next_eval = ck["elapsed"] / budget
        data.rng.seed(a.seed + step)
        torch.manual_seed(a.seed + step)
        old = [x for x in csv.reader(open(log_path))][1:]
        old = [x for x in old if int(x[0]) <= step]
    log = open(log_path, "w", newline="")
    out = csv.writer(log)
    out.writerow(["step", "minutes", "tokens", "epochs", "lr", "train_loss_nats_per_token", "dev_bits_per_byte"])
    out.writerows(old)
    while True:
        frac = (time.time() - t0) / budget
        if frac >= 1:
            break
        lr = a.lr * min(1.0, frac / 0.03) * 0.5 * (1 + math.cos(math.pi * frac))
        lr = max(lr, a.lr * 1e-3)
        for g in opt.param_groups:
            g["lr"] = lr
        # short windows first; the last fifth uses the full context, so that all positions are trained
        x, y = data.get(a.batch, 256 if frac < 0.5 else 512 if frac < 0.8 else c["max_position_embeddings"])
        stats = []
        lg = model(x, stats)
        ce = F.cross_entropy(lg.view(-1, lg.shape[-1]), y.reshape(-1))
        aux = sum(c["num_experts"] * (n.float() / n.sum() * p.mean(0)).sum() for n, p, _ in stats)
        z = sum(torch.logsumexp(r, -1).pow(2).mean() for _, _, r in stats)
        loss = ce + a.aux * aux + 1e-4 * z
        opt.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        step += 1
        v = ce.item()
        run = v if run is None else run * 0.98 + v * 0.02
        if step % 25 == 0 or frac >= next_eval:
            el = time.time() - t0
            row = [step, "%.2f" % (el / 60), data.seen, "%.2f" % (data.seen / len(ids)), "%.2e" % lr, "%.4f" % run, ""]
            if frac >= next_eval:
                model.eval()
                n, _, b, cnt = score(model, dev)
                model.train()
                row[-1] = "%.4f" % (n / math.log(2) / b)
                next_eval += eval_every
                share = (cnt.float() / cnt.sum(1, keepdim=True)).min().item()
                print("step %d %.1f min ep %.1f lr %.1e loss %.3f aux %.3f norm %.2f dev bpb %s min expert %.3f tok/s %.0f" % (
                    step, el / 60, data.seen / len(ids), lr, run, aux.item() / len(stats), norm.item(), row[-1], share, data.seen / el), flush=True)
            out.writerow(row)
            log.flush()
        if time.time() - last_save > 120:
            torch.save({"model": model.state_dict(), "opt": opt.state_dict(), "step": step, "config": c, "run": run,
                        "seen": data.seen, "elapsed": time.time() - t0}, a.checkpoint + ".tmp")
            os.replace(a.checkpoint + ".tmp", a.checkpoint)
            last_save = time.time()
    model.eval()
    n, _, b, _ = score(model, dev)
    el = time.time() - t0
    out.writerow([step, "%.2f" % (el / 60), data.seen, "%.2f" % (data.seen / len(ids)), "0", "%.4f" % run, "%.4f" % (n / math.log(2) / b)])
    log.close()
    print("end: step %d, %d tokens, %.2f epochs, dev bpb %.4f" % (step, data.seen, data.seen / len(ids), n / math.log(2) / b))
    torch.save({"model": model.state_dict(), "step": step, "config": c}, a.checkpoint)
    save_safetensors(os.path.join(a.model, "model.safetensors"), model.named_tensors())
    with open(os.path.join(a.model, "config.json"), "w") as f:
        json.dump(c, f, indent=1)
    with open(os.path.join(a.model, "generation_config.json"), "w") as f:
        json.dump({"bos_token_id": 1, "eos_token_id": 2, "do_sample": True, "temperature": 0.8}, f)


if __name__ == "__main__":
    main()
