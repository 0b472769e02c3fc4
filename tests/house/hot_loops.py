# SPDX-License-Identifier: Apache-2.0
"""Innermost loops of x86-64 objects that are made of products, as objdump prints them, and what is wrong with them."""
import functools
import re
import subprocess
from collections import Counter, namedtuple

PRODUCT = re.compile(r"^vp?(fn?m(add|sub)\d+[ps]s|maddwd|maddubsw|dpbusds?|dpwssds?)$")
HOT = 8  # products that make an innermost loop a hot one
SAME_OPERAND = 3  # products that read one and the same vector from memory: a load folded into each use of it

Instruction = namedtuple("Instruction", "address name operands")
Loop = namedtuple("Loop", "function instructions")


@functools.cache
def disassemble(path):
    """(function, [Instruction]) of an object file."""
    return list(functions_of(path))


def functions_of(path):
    command = ["objdump", "-d", "-C", "--no-show-raw-insn", str(path)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    name, body = None, []
    for line in text.splitlines():
        head = re.match(r"^[0-9a-f]+ <(.*)>:$", line)
        row = re.match(r"^\s*([0-9a-f]+):\s+(?:(?:data16|cs|ds|rep|repz|bnd|notrack)\s+)*(\S+)\s*(.*)$", line)
        if head:
            if name is not None:
                yield name, body
            name, body = head[1], []
        elif row and name is not None:
            body.append(Instruction(int(row[1], 16), row[2], row[3]))
    if name is not None:
        yield name, body


def innermost_loops(body):
    """Stretches between a jump back and its target that hold no other such stretch."""
    spans = set()
    for one in body:
        target = re.match(r"^([0-9a-f]+)\b", one.operands) if one.name.startswith("j") else None
        if target and body[0].address <= int(target[1], 16) <= one.address:
            spans.add((int(target[1], 16), one.address))
    for first, last in sorted(spans):
        if not any(first <= a and b <= last and (a, b) != (first, last) for a, b in spans):
            yield [one for one in body if first <= one.address <= last]


def is_product(one):
    return PRODUCT.match(one.name) is not None


def hot_loops(path):
    for function, body in disassemble(path):
        for loop in innermost_loops(body):
            if sum(map(is_product, loop)) >= HOT:
                yield Loop(function, loop), frame_of(body)


def frame_of(body):
    """Registers that point into the stack frame of a function."""
    frame = any(one.name == "mov" and one.operands == "%rsp,%rbp" for one in body)
    return ("%rsp", "%rbp") if frame else ("%rsp",)


def operands(one):
    return re.findall(r"[^,(]*\([^)]*\)(?:\{[^}]*\})?|[^,]+", one.operands)


def number(register):
    match = re.match(r"^%[xyz]mm(\d+)\b", register)
    return match[1] if match else None


def spilled_sums(loop, frame):
    """Stores into the stack frame of a register that a product, or the sum behind an integer one, wrote last; the loop
    is read as a ring."""
    written = {}
    for lap in range(2):
        for one in loop.instructions:
            parts = operands(one)
            if len(parts) < 2 or not one.name.startswith("v"):
                continue
            if lap == 1 and written.get(number(parts[0])) and any(f"({register}" in parts[-1] for register in frame):
                yield one
            if number(parts[-1]) is not None:
                written[number(parts[-1])] = is_product(one) or (one.name == "vpaddd" and parts[-1] in parts[:-1])


def folded_loads(loop):
    """Memory operands (no broadcast) that SAME_OPERAND products of a loop read while their address stays."""
    seen, found = Counter(), []
    for one in loop.instructions:
        parts = operands(one)
        for part in parts if is_product(one) else []:
            if "(" in part and "{1to" not in part:
                seen[part] += 1
                found += [part] if seen[part] == SAME_OPERAND else []
        for part in [part for part in seen if parts and parts[-1] in re.findall(r"%\w+", part)]:
            del seen[part]
    return found


def findings(path):
    """What is wrong with the hot loops of an object, one line each."""
    for loop, frame in hot_loops(path):
        products = sum(map(is_product, loop.instructions))
        where = f"{loop.function[:140]} at {loop.instructions[0].address:x}, {products} products"
        stores = list(spilled_sums(loop, frame))
        if stores:
            yield f"{where}: {len(stores)} sums stored to the stack, first {stores[0].operands}"
        for part in folded_loads(loop):
            yield f"{where}: {part} read from memory by each of several products"


def count(path, name, register):
    """Instructions whose name begins so, with an operand of that register class (xmm, ymm, zmm)."""
    return sum(one.name.startswith(name) and f"%{register}" in one.operands
               for _, body in disassemble(path) for one in body)
