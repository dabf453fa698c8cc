"""moto's DynamoDB, made safe for threads and cheap for many transactions.

moto checks a condition and writes without a lock between. And before each transaction it copies the
whole table, its stream's whole history included, in case it has to go back: a thousand jobs would
take gigabytes and hours. Here a transaction keeps the items that it names and the stream's length,
and copies nothing else. And for each attribute of an answer moto tries all ten types, under several
names each: most of what an answer costs.
"""

import copy
import threading
from typing import Any

from moto.core.serialize import BaseJSONSerializer
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import Table
from moto.dynamodb.responses import DynamoHandler

__all__ = ["TABLES_LOCK", "improve_dynamodb"]

TABLES_LOCK = threading.RLock()
"""Held while a call runs: who looks at a table in moto's own memory finds no half transaction."""

_Items = list[tuple[Table, DynamoType, DynamoType | None, Any]]


def improve_dynamodb() -> None:
    """Change moto's classes; a second call would change nothing for the worse."""
    _call_alone()
    # Only a transaction copies a table, to go back to it; it goes back otherwise here.
    Table.__deepcopy__ = lambda table, _memo: table
    _undo_what_is_named()
    _write_what_is_there()


def _call_alone() -> None:
    """Make conditional writes atomic."""
    call = DynamoHandler.call_action

    def call_alone(handler: Any) -> Any:
        with TABLES_LOCK:
            return call(handler)

    DynamoHandler.call_action = call_alone


def _undo_what_is_named() -> None:
    """Take a failed transaction back: the items that it names, and the stream's new records."""
    transact = DynamoDBBackend.transact_write_items

    def transact_write_items(backend: Any, transact_items: list[dict[str, Any]]) -> None:
        kept = _named_items(backend, transact_items)
        streams = [table.stream_shard.items for table, *_ in kept if table.stream_shard]
        lengths = [len(stream) for stream in streams]
        try:
            transact(backend, transact_items)
        except Exception:
            for table, hash_key, range_key, item in kept:
                _put_back(table, hash_key, range_key, item)
            for stream, length in zip(streams, lengths, strict=True):
                del stream[length:]
            raise

    DynamoDBBackend.transact_write_items = transact_write_items


def _put_back(table: Any, hash_key: DynamoType, range_key: DynamoType | None, item: Any) -> None:
    """Leave one place of a table as it was; `item` is None where it was empty."""
    if range_key is None:
        place, key = table.items, hash_key
    else:
        place, key = table.items[hash_key], range_key
    if item is None:
        place.pop(key, None)
    else:
        place[key] = item
    if range_key is not None and not place:
        del table.items[hash_key]


def _named_items(backend: Any, transact_items: list[dict[str, Any]]) -> _Items:
    """The places that a transaction names: table, keys, and a copy of the item that is there."""
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
        kept.append(
            (table, hash_key, range_key, copy.deepcopy(table.get_item(hash_key, range_key)))
        )
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
