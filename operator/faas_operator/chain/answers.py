"""What a node may answer to a method, an EVM chain's and Substrate's; else it has not answered.

Only the form is looked at, as far as it is read here. Whether it is true is not to be seen in one answer: see
`rpc`, which compares endpoints, and `watching`, which compares blocks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

Form = Callable[[object], bool]

_QUANTITY = re.compile(r"0x[0-9a-fA-F]{1,64}")
_DIGITS = re.compile(r"[0-9a-fA-F]*")


def is_answer(method: str, result: object) -> bool:
    """Whether a result has the form that the method's has; true for methods that are not known here."""
    return _FORMS.get(method, _anything)(result)


def _anything(_: object) -> bool:
    return True


def _quantity(result: object) -> bool:
    return isinstance(result, str) and _QUANTITY.fullmatch(result) is not None


def _data(result: object) -> bool:
    if not isinstance(result, str):
        return False
    digits = result.removeprefix("0x")
    # no pattern of pairs, which is thirty times as slow: a runtime's metadata are a million digits
    return len(digits) % 2 == 0 and _DIGITS.fullmatch(digits) is not None


def _number(result: object) -> bool:
    return isinstance(result, int) and not isinstance(result, bool) and result >= 0


def _or_nothing(form: Form) -> Form:
    return lambda result: result is None or form(result)


def _each(form: Form) -> Form:
    return lambda result: isinstance(result, list) and all(map(form, result))


def _with(**forms: Form) -> Form:
    """An object with these members, and perhaps others."""
    return lambda result: (
        isinstance(result, Mapping) and all(form(result.get(name)) for name, form in forms.items())
    )


_LOG = _with(
    address=_data,
    topics=_each(_data),
    data=_data,
    blockNumber=_quantity,
    blockHash=_data,
    transactionHash=_data,
    logIndex=_quantity,
)
_RECEIPT = _with(
    transactionHash=_data,
    blockNumber=_quantity,
    blockHash=_data,
    status=_quantity,
    gasUsed=_quantity,
    contractAddress=_or_nothing(_data),
    logs=_each(_with(address=_data, topics=_each(_data), data=_data)),
)
_PENDING_RECEIPT = _with(blockNumber=lambda number: number is None)

_FORMS: Mapping[str, Form] = {
    "eth_blockNumber": _quantity,
    "eth_call": _data,
    "eth_chainId": _quantity,
    "eth_estimateGas": _quantity,
    "eth_gasPrice": _quantity,
    "eth_getBalance": _quantity,
    "eth_getBlockByNumber": _or_nothing(
        _with(number=_quantity, hash=_data, timestamp=_quantity, baseFeePerGas=_or_nothing(_quantity))
    ),
    "eth_getCode": _or_nothing(_data),
    "eth_getLogs": _each(_LOG),
    "eth_getTransactionByHash": _or_nothing(_with(input=_data, to=_or_nothing(_data))),
    "eth_getTransactionCount": _quantity,
    "eth_getTransactionReceipt": _or_nothing(lambda result: _RECEIPT(result) or _PENDING_RECEIPT(result)),
    "eth_maxPriorityFeePerGas": _quantity,
    "author_submitExtrinsic": _data,
    "chain_getBlock": _or_nothing(_with(block=_with(extrinsics=_each(_data)))),
    "chain_getBlockHash": _or_nothing(_data),
    "chain_getFinalizedHead": _data,
    "chain_getHeader": _or_nothing(_with(number=_quantity)),
    "state_getKeysPaged": _each(_data),
    "state_getMetadata": _data,
    "state_getRuntimeVersion": _with(specVersion=_number, transactionVersion=_number),
    "state_getStorage": _or_nothing(_data),
    "system_accountNextIndex": _number,
}
