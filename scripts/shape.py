"""Style figures of src/, beside their marks; exits 1 beyond the hard limits (modules, functions, documentation, types, cycles).

Lines of a module are physical; a function's length leaves its docstring out. Cycles are those of import statements, also inside
functions, between the modules of the package.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "xmsec"
MODULE_LINES, FUNCTION_LINES, SUPPRESSIONS_PER_1000 = 400, 60, 0.5

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(tree: ast.Module) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def length(function: Function) -> int:
    first = function.body[0]
    documented = ast.get_docstring(function, clean=False) is not None
    doc = (first.end_lineno or 0) - first.lineno + 1 if documented else 0
    return (function.end_lineno or 0) - function.lineno + 1 - doc


def annotated(function: Function) -> bool:
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    named = [argument for argument in arguments if argument.arg not in ("self", "cls")]
    return function.returns is not None and all(argument.annotation is not None for argument in named)


def public(tree: ast.Module) -> Iterator[ast.AST]:
    """Modules, and the classes and functions that a caller may use."""
    yield tree
    for node in tree.body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from (one for one in node.body if isinstance(one, Function) and not one.name.startswith("_"))


def name_of(path: Path) -> str:
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(tree: ast.Module, names: set[str]) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found & names


def in_cycles(graph: dict[str, set[str]]) -> set[str]:
    """Modules that can reach themselves."""

    def reach(start: str) -> set[str]:
        seen: set[str] = set()
        todo = list(graph[start])
        while todo:
            one = todo.pop()
            if one not in seen:
                seen.add(one)
                todo += graph[one]
        return seen

    return {module for module in graph if module in reach(module)}


def main() -> int:
    paths = sorted(path for path in SOURCE.rglob("*.py") if path.read_text().strip())
    trees = {path: ast.parse(path.read_text()) for path in paths}
    lines = {path: len(path.read_text().splitlines()) for path in paths}
    lengths = {(path, one.name): length(one) for path, tree in trees.items() for one in functions(tree)}
    every = [one for tree in trees.values() for one in functions(tree)]
    bare = [
        f"{path.relative_to(ROOT)}:{getattr(node, 'name', 'module')}"
        for path, tree in trees.items()
        for node in public(tree)
        if not ast.get_docstring(node)  # type: ignore[arg-type]
    ]
    names = {name_of(path) for path in paths}
    cycles = in_cycles({name_of(path): imports(tree, names) - {name_of(path)} for path, tree in trees.items()})
    text = "".join(path.read_text() for path in paths)
    total = sum(lines.values())
    tests = sum(len(path.read_text().splitlines()) for path in (ROOT / "tests").rglob("*.py"))
    suppressed = text.count("# type: ignore") + text.count("# noqa")
    sizes = sorted(lines.values())
    short = 100 * sum(size <= 20 for size in lengths.values()) / len(lengths)
    widest = max(len(one.args.args) + len(one.args.kwonlyargs) + len(one.args.posonlyargs) for one in every)
    typed = 100 * sum(map(annotated, every)) / len(every)
    long_modules = [f"{path.relative_to(ROOT)}: {size}" for path, size in lines.items() if size > MODULE_LINES]
    long_functions = [
        f"{path.relative_to(ROOT)}:{name}: {size}" for (path, name), size in lengths.items() if size > FUNCTION_LINES
    ]
    rows: list[tuple[str, str, str, list[str]]] = [
        ("modules, lines", f"{len(paths)}, {total}", "", []),
        (
            "module lines, median / p90 / max",
            f"{median(sizes):.0f} / {quantiles(sizes, n=10)[-1]:.0f} / {sizes[-1]}",
            "≤ 120 / 300 / 400",
            long_modules,
        ),
        ("functions within 20 lines", f"{short:.0f} %", "≥ 92 %", []),
        (
            "function lines, p95 / max",
            f"{quantiles(lengths.values(), n=20)[-1]:.0f} / {max(lengths.values())}",
            "≤ 25 / 60",
            long_functions,
        ),
        ("most parameters", str(widest), "≤ 6", []),
        ("public documented", f"{len(bare)} bare", "0 bare", bare),
        ("fully annotated", f"{typed:.1f} %", "100 %", [one.name for one in every if not annotated(one)]),
        ("suppressions per 1,000 lines", f"{1000 * suppressed / total:.1f}", f"≤ {SUPPRESSIONS_PER_1000}", []),
        ("modules in an import cycle", str(len(cycles)), "0", sorted(cycles)),
        ("test lines : code lines", f"{tests / total:.2f}", "≥ 1.2", []),
    ]
    for what, value, mark, _ in rows:
        print(f"{what:36} {value:>22}   {mark}")
    wrong = [(what, one) for what, _, _, beyond in rows for one in beyond]
    for what, one in wrong:
        print(f"shape: {what}: {one}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
