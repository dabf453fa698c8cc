"""moto's DynamoDB, made safe for threads and cheap for many transactions.

moto checks a condition and writes without a lock between. And before each transaction it copies the
whole table, its stream's whole history included, in case it has to go back: a thousand jobs would
take gigabytes and hours. Here a transaction keeps the items that it names, and nothing else is
copied but lists of references. And for each attribute of an answer moto tries all ten types, under
several names each: most of what an answer costs.
"""

import copy
import threading
from typing import Any

from moto.core.serialize import BaseJSONSerializer
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import Table
from moto.dynamodb.responses import DynamoHandler

__all__ = ["improve_dynamodb"]

_Items = list[tuple[str, DynamoType, DynamoType | None, Any]]


def improve_dynamodb() -> None:
    """Change moto's classes; a second call would change nothing for the worse."""
    _call_alone()
    Table.__deepcopy__ = _copy_of_table
    _keep_what_is_named()
    _write_what_is_there()


def _call_alone() -> None:
    """Make conditional writes atomic."""
    lock = threading.RLock()
    call = DynamoHandler.call_action

    def call_alone(handler: Any) -> Any:
        with lock:
            return call(handler)

    DynamoHandler.call_action = call_alone


def _copy_of_table(table: Any, _memo: dict[int, Any]) -> Any:
    """Another table of the same items, to which neither new items nor new records come."""
    twin = copy.copy(table)
    twin.items = copy.copy(table.items)
    if table.range_key_attr is not None:
        for key, by_range in table.items.items():
            twin.items[key] = dict(by_range)
    if table.stream_shard is not None:
        twin.stream_shard = copy.copy(table.stream_shard)
        twin.stream_shard.table = twin
        twin.stream_shard.items = list(table.stream_shard.items)
    return twin


def _keep_what_is_named() -> None:
    """Give a failed transaction its items back: moto changes items in place."""
    transact = DynamoDBBackend.transact_write_items

    def transact_write_items(backend: Any, transact_items: list[dict[str, Any]]) -> None:
        kept = _named_items(backend, transact_items)
        try:
            transact(backend, transact_items)
        except Exception:
            for name, hash_key, range_key, item in kept:
                stored = backend.tables[name].items
                if range_key is None:
                    stored[hash_key] = item
                else:
                    stored[hash_key][range_key] = item
            raise

    DynamoDBBackend.transact_write_items = transact_write_items


def _named_items(backend: Any, transact_items: list[dict[str, Any]]) -> _Items:
    """Copies of those items of a transaction that exist: table, keys and item."""
    kept: _Items = []
    for operation in (each for item in transact_items for each in item.values()):
        table = backend.tables.get(operation.get("TableName"))
        attributes = operation.get("Key") or operation.get("Item") or {}
        if table is None or table.hash_key_attr not in attributes:
            continue  # moto refuses it
        hash_key = DynamoType(attributes[table.hash_key_attr])
        range_key = None
        if table.range_key_attr is not None:
            if table.range_key_attr not in attributes:
                continue
            range_key = DynamoType(attributes[table.range_key_attr])
        item = table.get_item(hash_key, range_key)
        if item is not None:
            kept.append((table.name, hash_key, range_key, copy.deepcopy(item)))
    return kept


def _write_what_is_there() -> None:
    """Write an attribute's one member, which is named in moto as it is on the wire."""
    write = BaseJSONSerializer._serialize_type_structure

    def write_structure(serializer: Any, written: Any, value: Any, shape: Any, key: str) -> None:
        if shape.name != "AttributeValue":
            write(serializer, written, value, shape, key)
            return
        attribute: dict[str, Any] = {}
        for kind, held in value.items():
            serializer._serialize(attribute, held, shape.members[kind], kind)
        serializer._default_serialize(written, attribute, shape, key)

    BaseJSONSerializer._serialize_type_structure = write_structure
