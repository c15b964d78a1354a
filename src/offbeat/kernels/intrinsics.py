"""Instructions that Numba does not offer: sums of short rows in vector registers, and arrays by their addresses."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

MAX_VECTOR_LENGTH = 16  # numbers in one vector: a longer row is cut into several


@intrinsic  # type: ignore[untyped-decorator]
def add_row(typing_context: Any, dst: Any, i: Any, x: Any, src: Any, j: Any, each: Any) -> Any:
    """Add ``x`` times row ``j`` of one array to row ``i`` of another: ``dst[i] += x * src[j]``.

    Numba compiles a short loop over the numbers of a row one at a time: the optimisation that would join them is off in
    Numba, as it has miscompiled. Written as vectors, a row of several classes takes a few instructions.

    Both arrays are C-contiguous with rows of ``len(each)`` numbers of the type of ``x``; indices are not checked.
    ``each`` is a tuple of integers, of which only the length counts.
    """

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kinds, n = signature.args, each.count

        def row(place: int, at: int) -> Any:
            first = context.make_array(kinds[place])(context, builder, arguments[place]).data
            index = context.cast(builder, arguments[at], kinds[at], types.intp)
            return builder.gep(first, [builder.mul(index, ir.Constant(index.type, n))])

        target, source = row(0, 1), row(3, 4)
        for start in range(0, n, MAX_VECTOR_LENGTH):
            _add(
                builder, arguments[2], target, source, start, min(MAX_VECTOR_LENGTH, n - start), dst.dtype.bitwidth // 8
            )
        return context.get_dummy_value()

    return types.void(dst, i, x, src, j, each), codegen


def _add(builder: Any, x: Any, target: Any, source: Any, start: int, width: int, size: int) -> None:
    """Write the instructions for ``width`` numbers from ``start``; they lie on multiples of ``size`` bytes only."""
    kind, index = ir.VectorType(x.type, width), ir.IntType(32)
    at = [builder.gep(row, [ir.Constant(index, start)]) for row in (target, source)]
    to, of = (builder.bitcast(place, kind.as_pointer()) for place in at)
    old, new = (builder.load(place, align=size) for place in (to, of))
    alone = builder.insert_element(ir.Constant(kind, ir.Undefined), x, ir.Constant(index, 0))
    spread = ir.Constant(ir.VectorType(index, width), [0] * width)
    factor = builder.shuffle_vector(alone, ir.Constant(kind, ir.Undefined), spread)
    moved = builder.fmul(factor, new, flags=["contract"])
    builder.store(builder.fadd(old, moved, flags=["contract"]), to, align=size)


@intrinsic  # type: ignore[untyped-decorator]
def pointer(typing_context: Any, address: Any, like: Any) -> Any:
    """Return a pointer to values as those of the array ``like``; whoever passes the address keeps them alive."""
    kind = types.CPointer(like.dtype)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(kind))

    return kind(address, like), codegen
