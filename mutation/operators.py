"""Which changes are made: cosmic-ray's, and those of the kinds that numerical code survives without an exception."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from cosmic_ray.ast import ast_nodes
from cosmic_ray.operators.operator import Example, Operator
from cosmic_ray.operators.provider import OperatorProvider
from parso.python.tree import Name

Position = tuple[tuple[int, int], tuple[int, int]]

#: Of cosmic-ray's, one counterpart for each operator of the language: eleven others for each minus sign would fill the
#: sample with the same place.
_CORE = (
    *(f"ReplaceBinaryOperator_{a}" for a in ("Add_Sub", "Sub_Add", "Mul_Div", "Div_Mul", "FloorDiv_Div", "Pow_Mul")),
    *(f"ReplaceBinaryOperator_{a}" for a in ("Mod_FloorDiv", "RShift_LShift", "BitOr_BitAnd", "BitAnd_BitOr")),
    *(f"ReplaceComparisonOperator_{a}" for a in ("Lt_LtE", "LtE_Lt", "Gt_GtE", "GtE_Gt", "Lt_Gt", "Gt_Lt")),
    *(f"ReplaceComparisonOperator_{a}" for a in ("Eq_NotEq", "NotEq_Eq", "Is_IsNot", "IsNot_Is")),
    *(f"ReplaceUnaryOperator_{a}" for a in ("Delete_USub", "Delete_Invert", "Delete_Not")),
    *("AddNot", "ReplaceTrueWithFalse", "ReplaceFalseWithTrue", "ReplaceAndWithOr", "ReplaceOrWithAnd"),
    *("NumberReplacer", "ZeroIterationForLoop", "ReplaceBreakWithContinue", "ReplaceContinueWithBreak"),
)
_MODULES = {"np", "torch", "nn", "math", "stats"}
#: Arguments that forbid something, or say how much a cache keeps: no number depends on them.
_GUARDS = {"frozen", "eq", "strict", "maxsize"}
#: Arguments that allow the given array itself in place of a copy: the values are the same.
_SAVINGS = {"copy=False"}
#: Functions of two arguments that give the same whichever comes first, NaN included. (max and min of Python do not.)
_SYMMETRIC = {f"{m}.{f}" for m in ("np", "torch") for f in ("maximum", "minimum")} | {"np.array_equal", "torch.equal"}
_WORD = re.compile(r"""["'][A-Za-z][\w.-]*["']""")


def _place(node: Any) -> Position:
    return node.start_pos, node.end_pos


def _code(node: Any, code: str) -> Name:
    """Other code in a node's place."""
    leaf = Name(code, node.start_pos, prefix=node.get_first_leaf().prefix)
    leaf.parent = node.parent
    return leaf


def _next(words: Iterable[str], word: str) -> str | None:
    """The word that follows in a list without repetitions, the first after the last; None if there is no other."""
    known = list(dict.fromkeys(words))
    return known[(known.index(word) + 1) % len(known)] if len(known) > 1 else None


class WordExchanged(Operator):
    """A name in quotes, of a column say, becomes the next other one of the module."""

    def mutation_positions(self, node: Any) -> Iterator[Position]:
        if _is_word(node) and _next(self._words(node), node.value):
            yield _place(node)

    def mutate(self, node: Any, index: int) -> Any:
        return _code(node, str(_next(self._words(node), node.value)))

    @staticmethod
    def _words(node: Any) -> Iterator[str]:
        return (n.value for n in ast_nodes(node.get_root_node()) if _is_word(n))

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example('a["x"] = b["y"]', 'a["y"] = b["y"]'), Example('a["x"] = b["y"]', 'a["x"] = b["x"]', 1))


def _is_word(node: Any) -> bool:
    return node.type == "string" and bool(_WORD.fullmatch(node.value))


class NameExchanged(Operator):
    """A parameter becomes the function's next one, a local variable the next one of these."""

    def mutation_positions(self, node: Any) -> Iterator[Position]:
        if self._other(node):
            yield _place(node)

    def mutate(self, node: Any, index: int) -> Any:
        return _code(node, str(self._other(node)))

    @staticmethod
    def _other(node: Any) -> str | None:
        if node.type != "name" or node.is_definition() or node.parent.type == "error_node":
            return None
        # Attributes, and the names of keyword arguments, are no variables.
        before = node.get_previous_sibling()
        after = node.get_next_sibling()
        if before == "." or (node.parent.type == "argument" and after == "="):
            return None
        function = node.search_ancestor("funcdef")
        if function is None:
            return None
        parameters = [p.name.value for p in function.get_params() if p.name.value not in ("self", "cls")]
        local = [
            n.value
            for n in ast_nodes(function.children[-1])
            if n.type == "name" and n.is_definition() and n.search_ancestor("funcdef") is function
        ]
        for words in (parameters, local):
            if node.value in words:
                return _next(words, node.value)
        return None

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        code = "def f(a, b):\n    c, d = {}, b\n    return {}\n"
        return (
            Example(code.format("a", "c"), code.format("b", "c")),
            Example(code.format("a", "c"), code.format("a", "d"), 2),
        )


class ArgumentDropped(Operator):
    """A keyword argument, a seed say, is not passed on."""

    def mutation_positions(self, node: Any) -> Iterator[Position]:
        for child in _arguments(node):
            if child.type == "argument" and child.children[1] == "=" and not _is_guard(child):
                yield _place(child)

    def mutate(self, node: Any, index: int) -> Any:
        place = [_place(c) for c in node.children].index(list(self.mutation_positions(node))[index])
        commas = node.type == "arglist"
        first = place - 1 if commas and place else place
        del node.children[first : first + (2 if commas else 1)]
        return node

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (
            Example("f(a, seed=1)", "f(a)"),
            Example("f(seed=1)", "f()"),
            Example("f(seed=1, b=2)", "f( b=2)"),
            Example("f(seed=1, b=2)", "f(seed=1)", 1),
        )


class ArgumentsExchanged(Operator):
    """The first two arguments of a call change places."""

    def mutation_positions(self, node: Any) -> Iterator[Position]:
        given = [c for c in _arguments(node) if c != "," and c.type != "argument"]
        two = node.type == "arglist" and len(given) > 1 and given[:2] == node.children[:3:2]
        if two and (len(given) > 2 or _called(node) not in _SYMMETRIC):
            yield _place(node)

    def mutate(self, node: Any, index: int) -> Any:
        first, comma, second, *rest = node.children
        node.children = [second, comma, first, *rest]
        return node

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example("f(a, b, c)", "f( b,a, c)"),)


class CallUnwrapped(Operator):
    """What a function is given in place of what it makes of it, or a method's object: a clip that is missing, say."""

    def mutation_positions(self, node: Any) -> Iterator[Position]:
        if self._inner(node):
            yield _place(node)

    def mutate(self, node: Any, index: int) -> Any:
        return _code(node, f"({self._inner(node)})")

    @staticmethod
    def _inner(node: Any) -> str | None:
        if node.type != "atom_expr" or node.children[-1].children[0] != "(":
            return None
        *function, call = node.children
        called, given = function[0], [c for c in _arguments(call.children[1]) or call.children[1:2] if c != ","]
        if len(function) == 1 or (called.type == "name" and called.value in _MODULES):
            plain = bool(given) and given[0] != ")" and given[0].type not in ("argument", "star_expr")
            return given[0].get_code(include_prefix=False) if plain else None
        method = len(function) > 1 and function[-1].children[0] == "."
        return "".join(n.get_code() for n in function[:-1]).strip() if method else None

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (
            Example("y = np.maximum(x, 0)", "y = (x)"),
            Example("y = x.mean(axis=1)", "y = (x)"),
            Example("y = abs(x)", "y = (x)"),
        )


def _is_guard(node: Any) -> bool:
    if node.type != "argument" or node.children[0].type != "name":
        return False
    return node.children[0].value in _GUARDS or node.get_code(include_prefix=False) in _SAVINGS


def _called(arguments: Any) -> str:
    """The dotted name of what a call's list of arguments is given to."""
    call = arguments.parent
    before = call.parent.children[: call.parent.children.index(call)]
    return "".join(n.get_code() for n in before).strip()


def _arguments(node: Any) -> list[Any]:
    """The children of a call's list of arguments, or the only one of a call with one; none of another node's."""
    if node.type == "arglist" and node.parent.type == "trailer":
        return list(node.children)
    if node.type == "trailer" and node.children[0] == "(" and node.children[1].type != "arglist":
        return list(node.children[1:-1])
    return []


OURS = (WordExchanged, NameExchanged, ArgumentDropped, ArgumentsExchanged, CallUnwrapped)


def operators() -> list[Operator]:
    """All that are tried."""
    core = OperatorProvider()
    return [*(core[name]() for name in _CORE), *(kind() for kind in OURS)]


def says_nothing(node: Any) -> bool:
    """Whether no number can show a node's change: of annotations, messages of errors, guards (:data:`_GUARDS`,
    :data:`_SAVINGS`), and the marks of keyword-only parameters.
    """
    while node.parent is not None:
        above = node.parent
        if _is_guard(above) or (above.type == "parameters" and node.type == "operator"):
            return True
        if above.type == "raise_stmt" or (above.type == "annassign" and node is above.children[1]):
            return True
        if above.type == "tfpdef" or (above.type == "param" and getattr(above, "annotation", None) is node):
            return True
        if above.type == "funcdef" and above.annotation is node:
            return True
        if above.type == "atom_expr" and above.children[0].type == "name" and above.children[0].value == "Literal":
            return True
        if above.type in ("import_from", "import_name"):
            return True
        node = above
    return False
