# SPDX-License-Identifier: Apache-2.0
"""A function for every operator, made from its table."""
import inspect

from . import _results, _tandem
from ._arrays import empty

TABLES = {table["name"]: table for table in _tandem.operators()}


def _wanted(operator, row, why):
    from ._errors import NullArgument

    return NullArgument(f"{operator}: {row['name']} is absent, {why} wanted", 161001)


def _order(table):
    """Inputs first (those that must be given before the others), then results, numbers, words, lists."""
    rank = {"inout": -1, "input": 0, "option": 1, "option_inout": 1, "output": 2, "option_output": 2}
    rows = sorted(table["operands"], key=lambda row: (rank[row["role"]], row["role"] == "input" and row["name"] == "gamma"))
    return rows


def parameters_of(table):
    """The signature of an operator's function."""
    kinds = inspect.Parameter
    made = []
    for row in _order(table):
        needed = row["role"] in ("input", "inout")
        made.append(kinds(row["name"], kinds.POSITIONAL_OR_KEYWORD if needed else kinds.KEYWORD_ONLY,
                          default=kinds.empty if needed else None))
    for number in table["numbers"]:
        made.append(kinds(number["name"], kinds.KEYWORD_ONLY, default=number["default"]))
    for word in table["words"]:
        made.append(kinds(word["name"], kinds.KEYWORD_ONLY, default=word["values"][0]))
    for one in table["lists"]:
        made.append(kinds(one["name"], kinds.KEYWORD_ONLY, default=None))
    if table["between_ranks"]:
        made.append(kinds("group", kinds.KEYWORD_ONLY))
    else:
        made.append(kinds("device", kinds.KEYWORD_ONLY, default=0))
    made.append(kinds("dtype", kinds.KEYWORD_ONLY, default=None))
    return inspect.Signature(made)


def _document(table):
    """What help() shows: formula, operands with dtypes and shapes, numbers, errors, an example."""
    lines = [table["formula"], "", "Arrays: numpy, or anything with DLPack; results are made where they are not given,",
             "of the kind of the first array. An optional result is made for True.", ""]
    for row in _order(table):
        kind = {"option": ", optional", "output": ", result", "option_output": ", optional result",
                "inout": ", changed in place", "option_inout": ", optional, changed in place"}.get(row["role"], "")
        shape = f" ({row['shape']})" if row["shape"] else ""
        lines.append(f"    {row['name']}: {row['dtypes']}{shape}{', a list' if row['list'] else ''}{kind}")
        lines.append(f"        {row['text']}")
    for number in table["numbers"]:
        lines.append(f"    {number['name']}: {number['text']} (from {number['low']:g} to {number['high']:g})")
    for word in table["words"]:
        lines.append(f"    {word['name']}: {word['text']}: " + ", ".join(word["values"]))
    for one in table["lists"]:
        lines.append(f"    {one['name']}: list of int, {one['text']}")
    if table["between_ranks"]:
        lines.append("    group: tandem.Communicator; every rank calls with its own")
    else:
        lines.append("    device: the logical device whose threads compute")
    lines.append("    dtype: of the first result, one of tandem.DTYPES, where its row leaves a choice")
    lines += ["", "'=x' is the dtype or shape of operand x, 'name..' any number of dimensions, '|' an alternative.", "",
              "Raises tandem.NullArgument, tandem.InvalidArgument; OutOfMemory"
              + ("; Mismatch, PeerLost, TimedOut, which name the rank." if table["between_ranks"] else "."), "",
              "Example:", ""]
    needed = [row["name"] for row in _order(table) if row["role"] in ("input", "inout")]
    lines.append(f"    >>> tandem.{table['name']}({', '.join(needed)}{', group=group' if table['between_ranks'] else ''})")
    return "\n".join(lines)


class _Operator:
    """What a function knows about its table."""

    def __init__(self, table):
        self.name, self.between_ranks = table["name"], table["between_ranks"]
        self.names = [row["name"] for row in _order(table) if row["role"] in ("input", "inout")]
        self.inputs = [row for row in table["operands"] if row["role"] not in ("output", "option_output")]
        self.outputs = [row for row in table["operands"] if row["role"] in ("output", "option_output")]
        self.changed = [row["name"] for row in table["operands"] if row["role"].endswith("inout")]
        self.known = set(parameters_of(table).parameters)

    def arguments(self, positional, given):
        if len(positional) > len(self.names):
            raise TypeError(f"{self.name}() takes at most {len(self.names)} positional arguments ({', '.join(self.names)})")
        for name, value in zip(self.names, positional):
            if name in given:
                raise TypeError(f"{self.name}() got two values for {name}")
            given[name] = value
        for name in given:
            if name not in self.known:
                raise TypeError(f"{self.name}() got an unexpected argument {name}")
        for row in self.inputs:
            value = given.get(row["name"])
            if row["list"] and value is not None and not isinstance(value, (list, tuple)):
                given[row["name"]] = [value]
        return given

    def results(self, given, dtype, group):
        """Makes the results that are absent, if they are wanted."""
        bound, like = None, None
        for index, row in enumerate(self.outputs):
            value = given.get(row["name"])
            optional = row["role"] == "option_output"
            if value is True or (value is None and (not optional or self.implied(row, given))):
                if bound is None:
                    bound, like = self.bound(given)
                given[row["name"]] = self.make(row, given, bound, like, dtype if index == 0 else None, group)
            elif value is False:
                given[row["name"]] = None

    def implied(self, row, given):
        return row["name"] == "norm" and given.get("gamma") is not None and self.name.startswith("mm_")

    def bound(self, given):
        bound, like = {}, None
        for row in self.inputs:
            value = given.get(row["name"])
            if value is None:
                continue
            for one in value if row["list"] else [value]:
                if hasattr(one, "shape"):
                    _results.bind(row["shape"], tuple(int(dim) for dim in one.shape), bound)
                    like = one if like is None else like
        return bound, like

    def make(self, row, given, bound, like, dtype, group):
        try:
            rule = _results.SHAPES.get((self.name, row["name"]))
            shape = rule(given, group) if rule else _results.from_row(row["shape"], given, bound)
            dtype = dtype or _results.dtype_for(self.name, row, given)
        except (_results.Unknown, KeyError, AttributeError, IndexError, TypeError, ValueError):
            for one in self.inputs:
                value = given.get(one["name"])
                for item in value if isinstance(value, (list, tuple)) else [value]:
                    if item is not None and not hasattr(item, "shape"):
                        kind = type(item).__name__
                        raise TypeError(f"{self.name}: {one['name']} is a {kind}, an array wanted") from None
            missing = [one for one in self.inputs if one["role"] == "input" and given.get(one["name"]) is None]
            if missing:
                raise _wanted(self.name, missing[0], "an array") from None
            hint = "dtype= or an array" if self.name == "cast" else "an array (its extents do not follow from the others)"
            raise _wanted(self.name, row, hint) from None
        if row["list"]:
            return [empty(one, dtype, like) for one in shape]
        return empty(shape, dtype, like)

    def __call__(self, positional, given):
        given = self.arguments(positional, given)
        group = given.pop("group", None) if self.between_ranks else None
        device, dtype = given.pop("device", 0), given.pop("dtype", None)
        self.results(given, dtype, group)
        _tandem.call(self.name, given, group._turn() if hasattr(group, "_turn") else group, device)
        results = [given[row["name"]] for row in self.outputs if given.get(row["name"]) is not None]
        results += [given[name] for name in self.changed if given.get(name) is not None]
        return results[0] if len(results) == 1 else tuple(results)


def _function(table):
    operator = _Operator(table)

    def function(*positional, **given):
        return operator(positional, given)

    function.__name__ = function.__qualname__ = table["name"]
    function.__doc__ = _document(table)
    function.__signature__ = parameters_of(table)
    function.__module__ = "tandem"
    return function


FUNCTIONS = {name: _function(table) for name, table in TABLES.items()}
