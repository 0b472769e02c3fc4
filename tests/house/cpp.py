# SPDX-License-Identifier: Apache-2.0
"""As much C++ as the house rules need: comments, includes, and where functions begin and end."""
import re
from collections import namedtuple

Function = namedtuple("Function", "name line lines depth")
_TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.S)


def _blank(text, keep_strings):
    def replace(match):
        token = match[0]
        if keep_strings and not token.startswith("/"):
            return token
        if not token.startswith("/"):
            return '"' + "".join("\n" if c == "\n" else " " for c in token[1:-1]) + '"'
        return "".join("\n" if c == "\n" else " " for c in token)

    # A digit separator (1'000) is no character literal.
    return _TOKEN.sub(replace, re.sub(r"(?<=\d)'(?=\d)", "_", text))


def blank_comments(text):
    """The text with comments turned into spaces; lines and columns stay."""
    return _blank(text, keep_strings=True)


def includes(text, angle=False):
    """(line, header) of every #include "header" (or <header>)."""
    pattern = re.compile(r'^\s*#\s*include\s*' + (r"<([^>]+)>" if angle else r'"([^"]+)"'))
    for number, line in enumerate(text.split("\n"), 1):
        match = pattern.match(line)
        if match:
            yield number, match[1]


def _kind(head):
    """What an opening brace opens, from the text since the last ; { or }."""
    head = re.sub(r"\[\[.*?\]\]|__attribute__\s*\(\(.*?\)\)|alignas\s*\([^)]*\)", " ", head, flags=re.S)
    # Text before the last access label belongs to nobody.
    head = re.sub(r"^\s*(public|private|protected)\s*:", " ", head)
    if re.search(r"\bnamespace\b|\bextern\s*\"", head):
        return "scope"
    if re.search(r"\b(class|struct|union|enum)\b[^()=]*$", head):
        return "scope"
    # A braced member of an initialiser list: `) : a_{1}`.
    if re.search(r"\)[\s\w]*(?<!:):(?!:).*[\w>]\s*$", head, flags=re.S) and "->" not in head:
        return "other"
    if ")" in head and not re.search(r"=\s*[\w:]*\s*$", head) and "(" in head:
        return "function"
    return "other"


def _name(head):
    match = re.search(r"([~\w:]+|operator\s*\S+)\s*\(", head)
    return match[1] if match else "?"


def functions(text):
    """Every function with a body at namespace or class scope: its first line, its lines and its deepest block."""
    code = _blank(text, keep_strings=False)
    code = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: re.sub(r"[^\n]", " ", m[0]), code, flags=re.M)
    found, stack, start, parens = [], [], 0, 0
    for position, char in enumerate(code):
        if char == "(":
            parens += 1
        elif char == ")":
            parens -= 1
        elif char == "{":
            head = code[start:position]
            inside = next((entry for entry in stack if entry[0] == "function"), None)
            kind = "block" if inside else _kind(head) if parens == 0 else "other"
            stack.append([kind, head, start + len(head) - len(head.lstrip()), 0, parens])
            if inside:
                inside[3] = max(inside[3], len(stack) - 1 - stack.index(inside))
            parens = 0
            start = position + 1
        elif char == "}" and stack:
            kind, head, begin, depth, parens = stack.pop()
            # A member initialiser `: a_{1}, b_{2} {` goes on: the head stays open until the body.
            if kind == "other" and not any(entry[0] == "function" for entry in stack):
                start = begin
                continue
            if kind == "function":
                line = code.count("\n", 0, begin) + 1
                found.append(Function(_name(head), line, code.count("\n", begin, position) + 1, depth))
            start = position + 1
        elif char == ";" and parens == 0:
            start = position + 1
    return found
