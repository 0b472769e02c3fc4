# SPDX-License-Identifier: Apache-2.0
"""Trains the byte-fallback BPE tokenizer and writes tokenizer.json.

    python tokenizer.py TEXT_FOLDER MODEL_FOLDER
"""
import json
import os
import sys

import corpus

VOCAB = 3072


def train(texts, vocab_size=VOCAB):
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
    n_base = 3 + 256
    tok = Tokenizer(models.BPE())
    tok.normalizer = normalizers.Replace(" ", "\u2581")
    # Only while training: merges stay inside one word or one run of punctuation.
    tok.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split("\n", "removed"),
        pre_tokenizers.Split(Regex("\u2581?'?[A-Za-z0-9]+|\u2581?[^A-Za-z0-9\u2581]+|\u2581"), "isolated"),
    ])
    trainer = trainers.BpeTrainer(vocab_size=vocab_size - n_base, show_progress=False, min_frequency=2)
    tok.train_from_iterator((" " + t for t in texts), trainer)
    m = json.loads(tok.to_str())["model"]
    tokens = sorted(m["vocab"], key=m["vocab"].get)
    merges = [x.split(" ") if isinstance(x, str) else x for x in m["merges"]]
    singles = [t for t in tokens if len(t) == 1]
    merged = ["".join(x) for x in merges]
    # ids: specials, 256 bytes, merged pieces by rank, single characters (as sentencepiece does)
    order = ["<unk>", "<s>", "</s>"] + ["<0x%02X>" % i for i in range(256)]
    for t in merged + singles:
        if t not in order:
            order.append(t)
    assert len(order) == vocab_size, len(order)
    special = [{"id": i, "content": c, "single_word": False, "lstrip": False, "rstrip": False,
                "normalized": False, "special": True} for i, c in enumerate(order[:3])]
    bos = {"SpecialToken": {"id": "<s>", "type_id": 0}}
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": special,
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "\u2581"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]},
        "pre_tokenizer": None,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [bos, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [bos, {"Sequence": {"id": "A", "type_id": 0}},
                     {"SpecialToken": {"id": "<s>", "type_id": 1}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
                  "vocab": {t: i for i, t in enumerate(order)},
                  "merges": [" ".join(x) for x in merges]},
    }


def main():
    parts = corpus.load(sys.argv[1])
    spec = train([corpus.text(d) for d in parts["train"]])
    out = sys.argv[2]
    os.makedirs(out, exist_ok=True)
    with open(os.path.join(out, "tokenizer.json"), "w", encoding="utf-8") as f:
        json.dump(spec, f, ensure_ascii=False, indent=1)
    with open(os.path.join(out, "tokenizer_config.json"), "w") as f:
        json.dump({"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>",
                   "unk_token": "<unk>", "add_bos_token": True, "add_eos_token": False, "legacy": True,
                   "model_max_length": 1024, "clean_up_tokenization_spaces": False}, f, indent=1)
    import tokenizers
    tok = tokenizers.Tokenizer.from_file(os.path.join(out, "tokenizer.json"))
    for part in ("train", "heldout", "dev"):
        n = b = 0
        for d in parts[part]:
            t = corpus.text(d)
            ids = tok.encode(t).ids
            assert tok.decode(ids) == t, (tok.decode(ids)[:80], t[:80])
            n += len(ids)
            b += len(t)
        print(part, "bytes", b, "tokens", n, "bytes/token %.3f" % (b / n))


if __name__ == "__main__":
    main()
