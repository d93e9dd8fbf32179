"""The sentences that our Python files say to the user, found in their syntax trees, for tests."""

import ast
from pathlib import Path

MODULE = Path(__file__).resolve().parents[2] / "RRLMedSAM"
ENGINE = sorted(MODULE.glob("RRLMedSAMEngine/**/*.py"))
BUNDLE = MODULE / "RRLMedSAMLib" / "bundle.py"
# Each call: how many arguments come before what is wrong and what to do.
ERRORS = {
    "EngineError": 1,
    "WritingError": 1,
    "RunError": 1,
    "bad_input": 0,
    "bad_model": 0,
    "BundleError": 0,
    "Problem": 0,
}
NOTES = {"warn": 0, "note": 0}


def calls(path, names):
    """(name, function that it is in, call) of each call of one of the names in a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    outside = ast.FunctionDef(name="", body=tree.body)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    within = {call: function for function in [outside, *functions] for call in ast.walk(function)}  # the innermost last
    for call, function in within.items():
        name = ast.unparse(call.func).removeprefix("self.") if isinstance(call, ast.Call) else None
        if name in names:
            yield name, function, call


def texts(node, function):
    """All that an expression can be, as templates with {} for what is not literal; none where nothing is literal."""
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else []
    if isinstance(node, ast.JoinedStr):
        return ["".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)]
    if isinstance(node, ast.IfExp):
        return texts(node.body, function) + texts(node.orelse, function)
    if isinstance(node, ast.BinOp):
        return [left + right for left in texts(node.left, function) for right in texts(node.right, function)]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        return texts(node.func.value, function)
    if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "_":
        return texts(node.args[0], function)
    if isinstance(node, ast.Name):
        assigned = [each for each in ast.walk(function) if isinstance(each, ast.Assign)]
        return [
            text for each in assigned if getattr(each.targets[0], "id", None) == node.id
            for text in texts(each.value, function)
        ]  # fmt: skip
    return []


def inherited(path):
    """What the classes of a file that are an EngineError say, and what functions of `ERRORS` say by default."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name in ERRORS:
            yield from (text for default in node.args.defaults for text in texts(default, node))
        if isinstance(node, ast.ClassDef) and any(getattr(base, "id", None) == "EngineError" for base in node.bases):
            for call in ast.walk(node):
                if isinstance(call, ast.Call) and ast.unparse(call.func) == "super().__init__":
                    yield from filter(None, (text for each in call.args[1:] for text in texts(each, node)))
