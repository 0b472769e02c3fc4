# SPDX-License-Identifier: Apache-2.0
"""Shapes and dtypes of results that a caller did not bring: from the rows of the tables, else from a rule below."""
from ._arrays import dtype_of


class Unknown(Exception):
    """The arguments do not say what a result looks like."""


def _shape(array):
    return tuple(int(dim) for dim in array.shape)


def _tokens(pattern, bound):
    """(name, many, ones) of each dimension of a pattern."""
    for word in pattern.split():
        many = ".." in word
        yield word.split("..")[0], many, word.endswith("=1")


def bind(pattern, shape, bound):
    """Gives the names of a pattern the extents of a shape where they fit; tables check the rest."""
    for alternative in pattern.split(" | "):
        if not alternative or alternative.startswith("="):
            continue
        known = dict(bound)
        tokens = list(_tokens(alternative, known))
        fixed = sum(len(known.get(name, ())) if many else 1 for name, many, _ in tokens)
        at, fits = 0, True
        for name, many, _ in tokens:
            length = 1 if not many else len(known[name]) if name in known else len(shape) - fixed
            dims = shape[at:at + length]
            fits = fits and length >= 0 and len(dims) == length and (name.isdigit() or known.get(name, dims) == dims)
            known.setdefault(name, dims)
            at += max(length, 0)
        if fits and at == len(shape):
            bound.update(known)
            return


def from_row(pattern, given, bound):
    """The shape a row gives a result."""
    if pattern.startswith("="):
        source = given.get(pattern[1:])
        if source is None:
            raise Unknown
        return _shape(source[0] if isinstance(source, (list, tuple)) else source)
    if not pattern or " | " in pattern:
        raise Unknown
    shape = ()
    for name, many, ones in _tokens(pattern, bound):
        if name.isdigit():
            shape += (int(name),)
        elif name not in bound:
            raise Unknown
        else:
            shape += (1,) * len(bound[name]) if ones else bound[name]
    return shape


def _broadcast(*shapes):
    rank = max(len(shape) for shape in shapes)
    padded = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    return tuple(0 if 0 in dims else max(dims) for dims in zip(*padded))


def _product(a, b):
    """(batch.., m, k) @ (batch.., k, n), vectors as in numpy."""
    a, b = _shape(a), _shape(b)
    if not a or not b:
        raise Unknown
    rows = a[-2:-1]
    columns = b[-1:] if len(b) > 1 else ()
    return _broadcast(a[:-2], b[:-2]) + rows + columns


def _fused_columns(given):
    weight = given.get("x2")
    if weight is None:
        experts = given.get("experts") or ()
        if not experts:
            raise Unknown
        weight = experts[0]
    return _shape(weight)[-1]


def _counts(given, group):
    counts = given.get("counts")
    return None if counts is None else [int(count) for count in counts]


def _mm_all_reduce(given, group):
    rows = _shape(given["x1"])
    return (rows[:1] if given.get("experts") else rows[:-1]) + (_fused_columns(given),)


def _mm_reduce_scatter(given, group):
    counts = _counts(given, group)
    rows = _shape(given["x1"])[0]
    return (counts[group.rank] if counts else rows // group.size, _fused_columns(given))


def _all_gather_mm(given, group):
    counts = _counts(given, group)
    rows = sum(counts) if counts else _shape(given["x1"])[0] * group.size
    return (rows, _fused_columns(given))


def _gathered(given, group):
    return _all_gather_mm(given, group)[:1] + _shape(given["x1"])[1:]


def _integer(value):
    return value if isinstance(value, int) else 0


def _swiglu(given, group):
    shape = list(_shape(given["x"]))
    dim = given.get("dim")
    dim = -1 if dim is None else int(dim)
    if not -len(shape) <= dim < len(shape):
        raise Unknown
    shape[dim] //= 2
    return tuple(shape)


def _gather(given, group):
    shape, axis = _shape(given["x"]), _integer(given.get("axis"))
    axis += len(shape) if axis < 0 else 0
    return shape[:axis] + _shape(given["index"]) + shape[axis + 1:]


def _gating(given, group):
    return _shape(given["x"])[:-1] + (_integer(given.get("top_k")),)


def _slots(given, group):
    if given.get("capacity"):
        raise Unknown
    rows, top_k = _shape(given["expert"])
    active = _integer(given.get("active"))
    return (min(active, rows) * top_k if active else rows * top_k, _shape(given["x"])[-1])


def _all_slots(given, group):
    rows, top_k = _shape(given["expert"])
    return (rows * top_k,)


def _finalize(given, group):
    width = _shape(given["expanded"])[-1]
    scales = given.get("scales")
    return (_shape(scales)[0] if scales is not None else _shape(given["place"])[0], width)


def _transdata(given, group):
    if (given.get("kind") or "to_nz") != "to_nz":
        raise Unknown
    *batch, k, n = _shape(given["x"])
    wide = {"i4": 64, "i8": 32, "u8": 32, "f32": 8, "i32": 8}.get(dtype_of(given["x"]), 16)
    return (*batch, -(-n // wide), -(-k // 16), 16, wide)


def _grouped(given, group):
    x, weight = given["x"], given["weight"]
    widths = [_shape(one)[-1] for one in weight]
    if len(x) == 1:
        return [(_shape(x[0])[0], widths[0])]
    return [(_shape(one)[0], widths[min(i, len(widths) - 1)]) for i, one in enumerate(x)]


def _loaded(cache):
    """Rows of all sequences out of a paged cache."""

    def shape(given, group):
        positions = [int(one) for one in given["context"].tolist()]
        tokens = max(positions, default=0) if given.get("ends") else sum(positions)
        return (tokens, *_shape(given[cache])[2:])

    return shape


SHAPES = {
    ("mm_all_reduce", "y"): _mm_all_reduce,
    ("mm_reduce_scatter", "y"): _mm_reduce_scatter,
    ("all_gather_mm", "y"): _all_gather_mm,
    ("all_gather_mm", "gathered"): _gathered,
    ("arithmetic", "y"): lambda given, group: _broadcast(_shape(given["a"]), _shape(given["b"])),
    ("swiglu", "y"): _swiglu,
    ("gather", "y"): _gather,
    ("matmul", "y"): lambda given, group: _product(given["a"], given["b"]),
    ("linear", "y"): lambda given, group: _shape(given["x"])[:-1] + (
        _shape(given["weight"])[0 if given.get("transpose") in (None, True, 1) else 1],),
    ("quant_matmul", "y"): lambda given, group: _product(given["x1"], given["x2"]),
    ("moe_gating", "y"): _gating,
    ("moe_gating", "expert"): _gating,
    ("moe_gating", "row"): _gating,
    ("moe_init_routing", "expanded_x"): _slots,
    ("moe_init_routing", "place"): _all_slots,
    ("moe_init_routing", "sorted_expert"): _all_slots,
    ("moe_finalize_routing", "y"): _finalize,
    ("moe_ffn", "expert"): _gating,
    ("moe_ffn", "weight"): _gating,
    ("paged_cache_load", "key"): _loaded("key_cache"),
    ("paged_cache_load", "value"): _loaded("value_cache"),
    ("transdata", "y"): _transdata,
    ("grouped_matmul", "y"): _grouped,
}


def _floating(given, names):
    """The first operand of floats among `names`, else what int8 products give."""
    for name in names:
        one = given.get(name)
        one = one[0] if isinstance(one, (list, tuple)) and one else one
        if one is not None and not isinstance(one, (list, tuple)) and dtype_of(one) in ("f32", "f16", "bf16"):
            return dtype_of(one)
    return "f16"


DTYPE_SOURCES = {
    "mm_all_reduce": ("x1", "x3", "residual", "channel", "bias"),
    "mm_reduce_scatter": ("x1", "x3", "residual", "channel", "bias"),
    "all_gather_mm": ("x1", "channel", "bias"),
    "arithmetic": ("a", "b"),
    "grouped_matmul": ("x", "dequant"),
}


def dtype_for(operator, row, given):
    """The dtype of a result whose row leaves a choice: the first that applies."""
    if operator in DTYPE_SOURCES and not row["dtypes"].startswith("="):
        if operator == "arithmetic" and dtype_of(given["a"]) == "i32":
            return "i32"
        return _floating(given, DTYPE_SOURCES[operator])
    if operator == "cast":
        raise Unknown
    for word in row["dtypes"].split():
        if not word.startswith("="):
            return word
        source = given.get(word[1:])
        source = source[0] if isinstance(source, (list, tuple)) else source
        if source is not None:
            return dtype_of(source)
    raise Unknown
