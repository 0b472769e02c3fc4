#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the generated documents: docs/operators/*.md, docs/errors.md, docs/compat.md, docs/products.md.

pages.py --build DIR            writes them from the built tool and libraries, the headers, tests/cases and docs/data
pages.py --build DIR --check    writes nothing; exit code 1 and the names of the documents that differ
"""
import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

NOTE = "<!-- Written by tools/pages.py; change what it reads instead. -->\n"


def camel(name):
    return "".join(part.capitalize() for part in name.split("_"))


def output_of(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows])


# --- operators -------------------------------------------------------------------------------------------------------


def structs(source):
    """Parameter structs of tandem/ops by name: (header, comment, text, errors)."""
    found = {}
    for path in sorted((source / "tandem/ops").glob("*.h")):
        text = path.read_text()
        if "plan(const" not in text:
            continue
        errors = " ".join(line[2:].strip() for match in re.finditer(r"^// Errors.*(?:\n//.*)*", text, re.M)
                          for line in match[0].splitlines())
        for match in re.finditer(r"((?:^//[^\n]*\n)+)struct (\w+) \{\n(.*?)^\};", text, re.M | re.S):
            if f"plan(const {match[2]}&" in text:
                comment = "\n".join(line[2:].removeprefix(" ") for line in match[1].splitlines())
                found[match[2]] = (path.relative_to(source).as_posix(), comment, match[3], errors)
    return found


def cases(source):
    """Working cases of the single operators: {operator: [case with its base merged]}, and all vendor forms."""
    found, forms = {}, {}
    for path in sorted((source / "tests/cases").glob("*.json")):
        root = json.loads(path.read_text())
        for own in root.get("cases", []):
            case = merge(root.get("base", {}).get(own.get("base"), {}), own)
            if not isinstance(case.get("op"), str) or case.get("status") or case.get("run_status") or case.get("cpp_status"):
                continue
            found.setdefault(case["op"], []).append(case)
            forms.setdefault(case["op"], set()).update(case.get("aclnn", []))
    return found, forms


def merge(base, patch):
    if not isinstance(patch, dict):
        return patch
    result = dict(base) if isinstance(base, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


def described(tensors, name):
    one = tensors[name]
    one = one[0] if isinstance(one, list) else one
    return {**described(tensors, one["like"]), **one} if "like" in one else one


def cpp_example(op, struct, header, case):
    lines = [f'#include "{header}"', "", "tandem::Device& device = **tandem::Device::get(0);",
             "const auto stream = std::move(*tandem::Stream::create(device));", f"tandem::{struct} op;"]
    tensors = case.get("tensors", {})
    for operand in op["operands"]:
        name = operand["name"]
        if name not in tensors:
            continue
        one = described(tensors, name)
        dims = ", ".join(str(dim) for dim in one["dims"])
        view = f"tandem::make_tensor({name}_data, tandem::DType::{one['dtype']}, {{{dims}}})"
        lines.append(f"op.{name}.push_back({view});" if operand["list"] else f"op.{name} = {view};")
    members = {number["name"] for number in op["numbers"]}
    lines += [f"op.{name} = {json.dumps(value)};" for name, value in case.get("numbers", {}).items() if name in members]
    lines += ["const auto plan = tandem::plan(op, device);  // or an error that names the argument",
              "std::vector<std::byte> workspace(plan->workspace_bytes());",
              "auto status = plan->run(workspace, *stream);", "if (status) status = stream->synchronize();"]
    return "```cpp\n" + "\n".join(lines) + "\n```"


NUMPY = {"f32": "np.float32", "f16": "np.float16", "f64": "np.float64", "i8": "np.int8", "u8": "np.uint8",
         "i16": "np.int16", "i32": "np.int32", "i64": "np.int64", "u64": "np.uint64"}
BROUGHT = ("cast", "moe_expert_tokens", "trans_quant_param", "transdata")  # operators whose results do not follow


def python_array(one):
    """Text that makes an array like a case's operand."""
    dims = ", ".join(str(dim) for dim in one["dims"]) + ("," if len(one["dims"]) == 1 else "")
    if one["dtype"] == "bf16":
        return f'tandem.view(np.zeros(({dims}), np.uint16), "bf16")'
    if one["dtype"] == "i4":
        return f'tandem.view(np.zeros(({dims}), np.uint8), "i4", ({dims}))'
    return f"np.zeros(({dims}), {NUMPY[one['dtype']]})"


def python_example(op, case):
    tensors, lines, given = case.get("tensors", {}), ["import numpy as np", "import tandem", ""], []
    for operand in op["operands"]:
        name = operand["name"]
        if name not in tensors or ("output" in operand["role"] and op["name"] not in BROUGHT):
            continue
        lines.append(f"{name} = {python_array(described(tensors, name))}")
        given.append(f"{name}=[{name}]" if operand["list"] else f"{name}={name}")
    for name in ("lengths", "query_lengths", "ends"):
        if "values" in tensors.get(name, {}):
            count = tensors[name]["dims"][0]
            given.append(f"{name}={(tensors[name]['values'] * count)[:count]}")
    members = {number["name"] for number in op["numbers"]}
    given += [f"{name}={value!r}" for name, value in case.get("numbers", {}).items() if name in members]
    given += [f'{name}="{value.lower()}"' for name, value in case.get("words", {}).items()]
    return "```python\n" + "\n".join(lines) + f"\nresult = tandem.{op['name']}({', '.join(given)})\n```"


def prototypes(source):
    """Prototypes of the first phases, by vendor function."""
    found = {}
    for path in sorted((source / "front/aclnn/include/aclnnop").glob("*.h")):
        for match in re.finditer(r"aclnnStatus\s+(\w+)GetWorkspaceSize\((.*?)\);", path.read_text(), re.S):
            found[match[1]] = (path.name, " ".join(match[2].split()))
    return found


def vendor_example(names, known):
    parts = []
    for name in names:
        header, arguments = known[name]
        parts.append(f"// aclnnop/{header}\naclnnStatus {name}GetWorkspaceSize({arguments});\n"
                     f"aclnnStatus {name}(void* workspace, uint64_t workspaceSize, aclOpExecutor* executor, aclrtStream stream);")
    return "```c\n" + "\n".join(parts) + "\n```"


def atb_example(entry):
    tensors = ", ".join(entry["in"]), ", ".join(entry["out"])
    lines = ['#include "atb/train_op_params.h"' if entry["param"].startswith("train") else '#include "atb/infer_op_params.h"', "",
             f"atb::{entry['param']} param;"]
    lines += [f"param.{one};" for one in entry["set"]]
    lines += ["atb::Operation* operation = nullptr;", "atb::CreateOperation(param, &operation);", "atb::VariantPack pack;",
              f"pack.inTensors = {{{tensors[0]}}};", f"pack.outTensors = {{{tensors[1]}}};", "uint64_t bytes = 0;",
              "operation->Setup(pack, bytes, context);  // then a workspace of so many bytes",
              "operation->Execute(pack, workspace, bytes, context);"]
    return "## ATB\n```cpp\n" + "\n".join(lines) + "\n```\n\n"


def atb_examples(source):
    """Examples by operator; each member they set is in the vendor's headers as this library has them."""
    entries = json.loads((source / "docs/data/atb.json").read_text())
    headers = " ".join(path.read_text() for path in (source / "front/atb/include/atb").glob("*.h"))
    for entry in entries.values():
        words = [entry["param"].split("::")[1]] + [re.split(r"[.= ]+", one)[0] for one in entry["set"]]
        missing = [word for word in words if not re.search(rf"\b{word}\b", headers)]
        if missing:
            raise SystemExit(f"docs/data/atb.json: {missing} not in front/atb/include/atb")
    return {name: atb_example(entry) for name, entry in entries.items()}


def operator_page(op, struct, entry, examples, forms, known, atb):
    header, comment, _, errors = entry
    text = f"# {op['name']}\n{NOTE}\n`{op['formula']}`\n\n```\n{comment}\n```\n\n"
    rows = [(f"`{o['name']}`", o["role"].replace("_", " "), o["dtypes"], o["shape"] or "see above",
             o["text"] + (" (a list)" if o["list"] else "") + (" (contiguous)" if o["layout"] == "dense" else ""))
            for o in op["operands"]]
    text += table(("operand", "role", "dtypes", "shape", ""), rows) + "\n\n"
    if op["numbers"]:
        rows = [(f"`{n['name']}`", f"{n.get('low', '')} .. {n.get('high', '')}".strip(), n["text"]) for n in op["numbers"]]
        text += table(("number", "range", ""), rows) + "\n\n"
    text += ("`=x` is the dtype or shape of operand x, `name..` any number of dimensions, `|` an alternative.\n"
             f"\n## Errors\n{errors}\nTexts name operator, argument, what was given and what is wanted; "
             "[errors](../errors.md) lists the codes of the interfaces.\n\n")
    if examples:
        text += "## C++\n" + cpp_example(op, struct, header, examples[0]) + "\n\n"
        text += "## Python\n" + python_example(op, examples[0]) + "\n\n"
    if forms:
        text += "## aclnn\nThe same bits through\n" + vendor_example(sorted(forms), known) + "\n\n"
    text += atb
    return text + f"Cases: `tests/cases`; random ones: `tandem check --operator {op['name']}`.\n"


def struct_page(struct, entry, known, atb):
    name = re.sub(r"(?<!^)([A-Z])", r"_\1", struct).lower()
    header, comment, body, errors = entry
    text = f"# {name}\n{NOTE}\n```\n{comment}\n```\n\n```cpp\n// {header}\nstruct {struct} {{\n{body}}};\n```\n\n## Errors\n{errors}\n"
    forms = sorted(form for form in known if "AllReduceAddRmsNorm" in form) if name == "mm_all_reduce" else []
    if forms:
        text += "\n## aclnn\nThe same bits through\n" + vendor_example(forms, known) + "\n"
    return name, text + ("\n" + atb[name].rstrip() + "\n" if name in atb else "")


def operator_pages(source, build):
    listed = json.loads(output_of(str(build / "bin/tandem"), "operators", "--json"))
    known, (examples, forms), found = prototypes(source), cases(source), structs(source)
    atb = atb_examples(source)
    pages = {}
    for op in listed:
        struct = camel(op["name"])
        pages[op["name"]] = operator_page(op, struct, found.pop(struct), examples.get(op["name"]), forms.get(op["name"]), known,
                                          atb.get(op["name"], ""))
    for struct, entry in found.items():
        name, text = struct_page(struct, entry, known, atb)
        pages[name] = text
    index = "".join(f"- [{name}]({name}.md)\n" for name in sorted(pages))
    documents = {f"docs/operators/{name}.md": text for name, text in pages.items()}
    documents["docs/operators/README.md"] = f"# Operators\n{NOTE}\n{index}"
    return documents


# --- errors ----------------------------------------------------------------------------------------------------------

CODE = r"\b(ACL_ERROR_[A-Z0-9_]+|ACLNN_ERR_[A-Z0-9_]+|HCCL_E_[A-Z0-9_]+|(?<![A-Z_])ERROR_[A-Z0-9_]+)\b"
GROUPS = (("acl", "ACL_ERROR_"), ("aclnn", "ACLNN_ERR_"), ("HCCL", "HCCL_E_"), ("ATB", "ERROR_"))


def front_sources(source):
    return [path for path in sorted((source / "front").rglob("*")) if path.suffix in (".cpp", ".h") and "/include/" not in path.as_posix()]


def code_values(source):
    values = {}
    for path in sorted((source / "front").rglob("include/**/*.h")):
        text = path.read_text()
        for name, value in re.findall(CODE + r"\s*=?\s*(-?\d+|0x[0-9a-fA-F]+)\b", text):
            values.setdefault(name, value)
        for body in re.findall(r"enum \w+[^{;]*\{(.*?)\}", text, re.S):  # counted from the last value given
            value = -1
            for name, given in re.findall(r"^\s*(\w+)\s*(?:=\s*(-?\w+))?\s*,?", re.sub(r"//.*|/\*.*?\*/", "", body), re.M):
                value = int(given, 0) if given and re.fullmatch(r"-?(0x)?[0-9a-fA-F]+", given) else value + 1
                if re.fullmatch(CODE, name):
                    values.setdefault(name, str(value))
    return values


def error_page(source):
    texts = {path: path.read_text() for path in front_sources(source)}
    used = {code for text in texts.values() for code in re.findall(CODE, text)}
    marks = {mark for text in texts.values() for mark in re.findall(r'"(E[EHIZ]\d{4})"', text)}
    own = re.findall(r"^  (\w+),?\s+// (.*)$", re.search(r"enum class ErrorCode.*?\{(.*?)\}", (source / "tandem/base/status.h").read_text(), re.S)[1], re.M)
    told = json.loads((source / "docs/data/errors.json").read_text())
    wrong = [f"docs/data/errors.json: nothing on {code}" for code in sorted((used | marks | {n for n, _ in own}) - told.keys())]
    wrong += [f"docs/data/errors.json: {code} is returned nowhere" for code in sorted(told.keys() - used - marks - {n for n, _ in own})]
    if wrong:
        raise SystemExit("\n".join(wrong))
    values = code_values(source)
    text = (f"# Errors\n{NOTE}\nEvery error text has one grammar: operator or function, argument, what was given, what is wanted. The C\n"
            "interfaces return a code and keep the text for `aclGetRecentErrMsg` of the same thread, behind a mark (below).\n"
            "Errors while work runs come out of the synchronising call, and the stream keeps them until it is destroyed.\n\n## C++\n")
    rows = [(f"`{name}`", meaning, told[name]["example"], told[name]["do"]) for name, meaning in own]
    text += table(("code", "cause", "example", "what to do"), rows) + "\n"
    for title, prefix in GROUPS:
        codes = sorted((code for code in used if code.startswith(prefix)), key=lambda c: (int(values.get(c, "0"), 0), c))
        rows = [(values.get(code, ""), f"`{code}`", told[code]["cause"], told[code]["example"], told[code]["do"]) for code in codes]
        text += f"\n## {title}\n" + table(("value", "code", "cause", "example", "what to do"), rows) + "\n"
    rows = [(f"`{mark}`", told[mark]["cause"], told[mark]["example"], told[mark]["do"]) for mark in sorted(marks)]
    return text + "\n## Marks before the text\n" + table(("mark", "cause", "example", "what to do"), rows) + "\n"


# --- exported symbols ------------------------------------------------------------------------------------------------


def exported(build):
    """Demangled names of what programs may call."""
    names = set()
    for line in output_of("nm", "-D", "--defined-only", "-C", str(build / "lib/libtandem_cann.so")).splitlines():
        kind, name = line.split(maxsplit=2)[1:]
        name = re.sub(r"@@.*", "", name)
        name = re.sub(r"\[abi:\w+\]|^(int|void|std::string) (?=atb::)", "", name).split("(")[0]
        templates = ("atb::CreateOperation<", "atb::CloneOperationParam<", "atb::UpdateOperationParam<")
        if (kind == "T" and not name.startswith("std::")) or name.startswith(templates):
            names.add(name)
    return names


def declared_in(source):
    """Header of each C function."""
    found = {}
    for path in sorted((source / "front").rglob("include/**/*.h")):
        for name in re.findall(r"\b(\w+)\s*\(", path.read_text()):
            found.setdefault(name, path.relative_to(source / "front").as_posix().split("include/", 1)[1])
    return found


def found_partial(source):
    """What functions say themselves: arguments they refuse when given, and arguments without a name."""
    found = {}
    for path in front_sources(source):
        for match in re.finditer(r"^[\w][\w ]*[ *](\w+)\(([^;{]*?)\)(?: noexcept)? \{(.*?)^\}|^[\w][\w ]*[ *](\w+)\(([^;{]*?)\) \{(.*)\}$",
                                 path.read_text(), re.M | re.S):
            name, arguments, body = (match[1], match[2], match[3]) if match[1] else (match[4], match[5], match[6])
            refused = re.findall(r'\babsent\("(\w+)"', body)
            ignored = re.findall(r"/\*(\w+)\*/", arguments)
            texts = [f"not taken: {', '.join(refused)}"] if refused else []
            texts += [f"ignored: {', '.join(ignored)}"] if ignored else []
            if texts:
                found[name.removesuffix("GetWorkspaceSize")] = "; ".join(texts)
    return found


def compat_page(source, build):
    told = json.loads((source / "docs/data/compat.json").read_text())
    names, headers, unused, partial = exported(build), declared_in(source), set(told), found_partial(source)
    groups = {}
    for name in sorted(names):
        base = name.removesuffix("GetWorkspaceSize")
        if base != name and base in names:
            continue  # told with the second phase
        entry = next((key for key in told if re.fullmatch(key, name)), None)
        unused.discard(entry)
        status, what = ("partial", partial[name]) if name in partial else ("full", "")
        if entry:
            status, what = told[entry]["status"], told[entry]["what"]
        header = headers.get(name, "atb/" if name.startswith("atb::") else "")
        groups.setdefault(header, []).append((f"`{name}`", status, what))
    if unused:
        raise SystemExit("\n".join(f"docs/data/compat.json: no exported symbol {key}" for key in sorted(unused)))
    count = {status: sum(row[1] == status for rows in groups.values() for row in rows) for status in ("full", "partial", "refused")}
    text = (f"# What of the vendor's interfaces is here\n{NOTE}\n{sum(count.values())} functions (both phases of an operator count "
            f"once): {count['full']} full, {count['partial']} partial, {count['refused']} refused. *full*: the documented behaviour on "
            "CPUs; *partial*: called and safe, but\nnot all of it; *refused*: returns the documented code. A function that is not "
            "listed does not exist here: a program that needs it does not link.\n")
    for header in sorted(groups):
        text += f"\n## {header or 'others'}\n" + table(("function", "", ""), groups[header]) + "\n"
    return text


# --- products --------------------------------------------------------------------------------------------------------


def product_page(source):
    path = source / "docs/data/products.json"
    if not path.exists():
        return None
    data = json.loads(path.read_text())
    text = f"# Products of the vendor's pages\n{NOTE}\n" + "\n".join(data["about"]) + "\n\n"
    rows = [(row["operator"], row["product"], "yes" if row["supported"] else "no", row["ranks"], row["dtypes"], row["topology"], row["page"])
            for row in data["rows"]]
    return text + table(("operator", "product", "supported", "ranks", "dtypes", "topology", "page"), rows) + "\n"


def documents(source, build):
    all_documents = operator_pages(source, build)
    all_documents["docs/errors.md"] = error_page(source)
    all_documents["docs/compat.md"] = compat_page(source, build)
    products = product_page(source)
    if products:
        all_documents["docs/products.md"] = products
    return all_documents


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--source", type=Path, default=Path("."))
    parser.add_argument("--build", type=Path, default=Path("build/release"))
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    wanted = documents(options.source, options.build)
    stale = [f"{p.relative_to(options.source)}: no such operator" for p in sorted((options.source / "docs/operators").glob("*.md"))
             if p.relative_to(options.source).as_posix() not in wanted]
    for name, text in wanted.items():
        path = options.source / name
        if options.check:
            if not path.exists() or path.read_text() != text:
                stale.append(f"{name}: not what tools/pages.py writes")
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    print("\n".join(stale) or f"{len(wanted)} documents " + ("are fresh" if options.check else "written"))
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
