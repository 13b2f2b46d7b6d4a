#!/usr/bin/env python3
"""Lines per file and per function of the C++, Python and JavaScript sources, with a ratchet.

    lengths.py ROOT             prints median, p90 and max, and what breaks the rules; exits 1 when something does
    lengths.py ROOT --lower     also writes the list of exceptions anew, with what has become shorter or is gone

New code keeps the limits. What was longer when the limits came is listed in lengths.txt with its length: it may only become
shorter, and then its entry does too.
"""
import ast
import bisect
import pathlib
import re
import subprocess
import sys

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
LIST = pathlib.Path(__file__).resolve().parent / "lengths.txt"
CPP, PYTHON, JAVASCRIPT = (".cc", ".h"), (".py",), (".js", ".mjs", ".cjs")

# Comments and literals of C++ and JavaScript; what is in them is no code.
CPP_QUIET = re.compile(r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])+\'|^[ \t]*#(?:\\\n|[^\n])*', re.S | re.M)
JAVASCRIPT_QUIET = re.compile(r"//[^\n]*|/\*.*?\*/|'(?:\\.|[^'\\\n])*'|\"(?:\\.|[^\"\\\n])*\"|`(?:\\.|[^`\\])*`|(?<=[=(,:])\s*/(?![*/])(?:\\.|\[(?:\\.|[^\]\\])*\]|[^/\\\n])+/", re.S)
CONTROL = {"if", "for", "while", "switch", "catch", "with", "return", "sizeof", "decltype", "noexcept", "alignas", "requires", "explicit"}


def blank(text, quiet):
    """The same text with comments and literals as spaces: every offset and line stays."""
    return quiet.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text)


def without_angles(text):
    """A declaration without the content of template brackets, so that `function<void()> Name(` begins with the name."""
    before, text = None, text.replace("<<", "  ")
    while before != text:
        before, text = text, re.sub(r"<[^<>;{}]*>", lambda m: " " * len(m[0]), text)
    return text


def name_in(head):
    for found in re.finditer(r"([~\w:]*operator\s*[^\s\w(]+|operator\s*\(\)|[~\w:]+)\s*\(", without_angles(head)):
        name = found[1].strip()
        if name.split("::")[-1] not in CONTROL and not name.startswith(("EVERSTATE_", "__attribute__")):
            if name.isupper() or name in ("TEST", "TEST_F", "TEST_P", "RC_GTEST_PROP"):  # a macro that makes a function of its arguments
                name += "(" + re.sub(r"\s+", " ", head[found.end():].split(")")[0]) + ")"
            return name
    return "function"


def opens_function(head):
    """Whether a brace behind this text, which began at a namespace's or class's level, is the body of a function."""
    plain = without_angles(head).strip()
    if not plain or re.match(r"(extern\b(?!.*\()|(inline\s+)?namespace\b|enum\b|union\b)", plain):
        return False
    signature = re.search(r"\)\s*((const|noexcept|override|final|mutable|try|&&?|EVERSTATE_\w+(\s*\([^()]*\))?)\s*)*(->[^{=]*|requires\b[^{]*)?$", plain)
    begins_list = re.search(r"\)[^;{}=]*[^:]:[^:].*[)}]\s*$", plain, re.S)  # a constructor's initializers, the last one closed
    return bool(signature or begins_list) and not re.search(r"(^|[^=!<>])=[^=]*$", plain.split("(")[0])


def is_initializer(head):
    """`member_{…}` in a constructor's list, or a variable's braces: to be passed over as part of the declaration."""
    plain = without_angles(head).rstrip()
    return bool(re.search(r"\)[^;{}]*[^:]:[^:].*\w$", plain, re.S) or re.search(r"(=|\breturn)\s*(\w[\w:]*\s*)?$", plain))


def matching(text, at):
    depth = 0
    for found in re.compile(r"[{}]").finditer(text, at):
        depth += 1 if found[0] == "{" else -1
        if depth == 0:
            return found.start()
    return len(text) - 1


def cpp_functions(text):
    """(name, first line, last line) of each function body outside of others; a lambda counts where it stands."""
    code = blank(text, CPP_QUIET)
    lines = [m.start() for m in re.finditer("\n", code)]
    line_of = lambda at: bisect.bisect_left(lines, at) + 1
    found, begin, at = [], 0, 0
    marks = re.compile(r"[{};]|\b(public|private|protected)\s*:(?!:)")
    while mark := marks.search(code, at):
        at = mark.end()
        head = code[begin:mark.start()]
        if mark[0] == "{" and (head.count("(") > head.count(")") or is_initializer(head)):  # a lambda among arguments, or a value
            at = matching(code, mark.start()) + 1
        elif mark[0] == "{" and opens_function(head):
            end = matching(code, mark.start())
            start = mark.start() - len(head.lstrip())
            found.append((name_in(head), line_of(start), line_of(end)))
            begin = at = end + 1
        elif mark[0] == ";" and head.count("(") > head.count(")"):
            continue
        else:
            begin = at
    return found


def python_functions(text):
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [(node.name, node.lineno, node.end_lineno) for node in ast.walk(ast.parse(text)) if isinstance(node, kinds)]


def javascript_functions(text):
    """Named functions, methods, and arrow functions with a body that have a name; others count where they stand."""
    code = blank(text, JAVASCRIPT_QUIET)
    lines = [m.start() for m in re.finditer("\n", code)]
    line_of = lambda at: bisect.bisect_left(lines, at) + 1
    heads = re.compile(r"\bfunction\s*\*?\s*(?P<a>\w+)\s*\((?:[^(){}]|\{[^{}]*\})*\)\s*\{|\b(?P<b>\w+)\s*=\s*(?:async\s*)?(?:\((?:[^()]|\([^()]*\))*\)|\w+)\s*=>\s*\{"
                       r"|^[ \t]+(?:static\s+|async\s+|get\s+|set\s+)*(?P<c>#?\w+)\s*\([^()]*\)\s*\{", re.M)
    found = []
    for head in heads.finditer(code):
        name = head["a"] or head["b"] or head["c"]
        if name not in CONTROL:
            found.append((name, line_of(head.start()) + head[0].startswith("\n"), line_of(matching(code, head.end() - 1))))
    return found


def functions_of(path):
    text = path.read_text()
    if path.suffix in CPP:
        return cpp_functions(text)
    return python_functions(text) if path.suffix in PYTHON else javascript_functions(text)


def measure(root, names):
    """{file or file:function: lines}"""
    files, functions = {}, {}
    for name in names:
        path = root / name
        files[name] = path.read_text().count("\n")
        for function, first, last in functions_of(path):
            key = f"{name}:{function}"  # of several with one name the longest
            functions[key] = max(functions.get(key, 0), last - first + 1)
    return files, functions


def sources(root):
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=root, capture_output=True, text=True, check=True).stdout.splitlines()
    kinds = CPP + PYTHON + JAVASCRIPT
    return sorted(name for name in listed if name.endswith(kinds) and (root / name).is_file())


def read_list(path):
    entries = {}
    for line in path.read_text().splitlines():
        if line and not line.startswith("#"):
            lines, what = line.split(None, 1)
            entries[what] = int(lines)
    return entries


def problems(files, functions, listed):
    found = []
    for measured, limit, kind in ((files, FILE_LINES_MAX, "file"), (functions, FUNCTION_LINES_MAX, "function")):
        for what, lines in sorted(measured.items()):
            allowed = listed.get(what, limit)
            if lines > allowed:
                rule = "it was" if what in listed else f"a {kind} may have"
                found.append(f"{what} has {lines} lines, {rule} {allowed}")
    for what, allowed in sorted(listed.items()):
        lines = files.get(what, functions.get(what))
        limit = FILE_LINES_MAX if what in files else FUNCTION_LINES_MAX
        if lines is None or lines <= limit:
            found.append(f"{what} is listed, but no longer too long: lengths.py --lower takes it out")
        elif lines < allowed:
            found.append(f"{what} has {lines} lines, but is listed with {allowed}: lengths.py --lower lowers it")
    return found


def lowered(files, functions, listed):
    """The list without what has become short; no entry rises and none comes new."""
    out = {}
    for what, allowed in listed.items():
        lines = files.get(what, functions.get(what, 0))
        if lines > (FILE_LINES_MAX if what in files else FUNCTION_LINES_MAX):
            out[what] = min(lines, allowed)
    return out


def write_list(path, entries):
    head = [line for line in path.read_text().splitlines() if line.startswith("#")] if path.exists() else []
    rows = [f"{lines:4} {what}" for what, lines in sorted(entries.items())]
    path.write_text("\n".join(head + rows) + "\n")


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0


def summary(files, functions):
    rows = []
    for title, values in (("files", files.values()), ("functions", functions.values())):
        rows.append(f"{title:10}{len(values):>6}  median {percentile(values, 0.5):>4}  p90 {percentile(values, 0.9):>4}  max {max(values, default=0):>4}")
    return "\n".join(rows)


def main():
    root = pathlib.Path(sys.argv[1])
    files, functions = measure(root, sources(root))
    if "--lower" in sys.argv:
        write_list(LIST, lowered(files, functions, read_list(LIST)))
    print(summary(files, functions))
    found = problems(files, functions, read_list(LIST))
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
