"""Arrays by their addresses: a kernel that draws rows from any of a list of arrays is compiled once for all lists."""

from __future__ import annotations

from typing import Any

from numba.core import types
from numba.extending import intrinsic


@intrinsic  # type: ignore[untyped-decorator]
def pointer(typing_context: Any, address: Any, like: Any) -> Any:
    """Return a pointer to values as those of the array ``like``; whoever passes the address keeps them alive."""
    kind = types.CPointer(like.dtype)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(kind))

    return kind(address, like), codegen
