"""Refuse modules over 600 lines and functions over 80 (house style, rule 6)."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

MODULE_LINES = 600
FUNCTION_LINES = 80
BANNED_NAMES = {"utils", "helpers", "common", "misc", "base", "core", "manager"}


def faults(path: Path) -> Iterator[str]:
    source = path.read_text(encoding="utf-8")
    if path.stem in BANNED_NAMES:
        yield f"{path}: a module is named for what it knows, not {path.stem!r}"
    if (lines := source.count("\n")) > MODULE_LINES:
        yield f"{path}: {lines} lines, more than {MODULE_LINES}"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES:
                yield f"{path}:{node.lineno}: {node.name} has {length} lines"


def main() -> int:
    found = [fault for path in sorted(Path("src").rglob("*.py")) for fault in faults(path)]
    for fault in found:
        print(fault)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
