"""Texts in source code, with holes for what only a run can know."""

from __future__ import annotations

import ast
from collections.abc import Mapping

HOLE = "…"


def literal(node: ast.expr, names: Mapping[str, ast.expr]) -> str:
    """What an expression says; `names` are those whose value is known."""
    match node:
        case ast.Constant(value=str() as value):
            return value
        case ast.FormattedValue(value=value):
            return literal(value, names)
        case ast.JoinedStr(values=values):
            return "".join(literal(one, names) for one in values)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return literal(left, names) + literal(right, names)
        case ast.Call(
            func=ast.Attribute(value=ast.Constant(value=str() as glue), attr="join"),
            args=[ast.Tuple(elts=parts)],
        ):
            return glue.join(
                HOLE if isinstance(part, ast.Starred) else literal(part, names) for part in parts
            )
        case ast.IfExp(body=body, orelse=orelse):
            return " / ".join(
                one for one in (literal(body, names), literal(orelse, names)) if one.strip(HOLE)
            )
        case ast.Name(id=name) if name in names:
            return literal(names[name], {key: value for key, value in names.items() if key != name})
    return HOLE
