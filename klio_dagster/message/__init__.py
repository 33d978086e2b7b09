"""Klio's messages: bytes in, a value out, and the way back, byte for byte. Imports core.

No I/O, no Dagster, no client of Pub/Sub: of Google's only `google.protobuf`.
"""

from klio_dagster.core.job import JobId as JobId
from klio_dagster.message.audit import extended as extended
from klio_dagster.message.decoders import Decoder as Decoder
from klio_dagster.message.decoders import JsonField as JsonField
from klio_dagster.message.decoders import KlioDecoder as KlioDecoder
from klio_dagster.message.decoders import PlainIds as PlainIds
from klio_dagster.message.decoders import StorageNotifications as StorageNotifications
from klio_dagster.message.merge import merged as merged
from klio_dagster.message.message import ANYONE as ANYONE
from klio_dagster.message.message import Anyone as Anyone
from klio_dagster.message.message import AuditEntry as AuditEntry
from klio_dagster.message.message import Limited as Limited
from klio_dagster.message.message import Message as Message
from klio_dagster.message.message import Recipients as Recipients
from klio_dagster.message.message import new_message as new_message
from klio_dagster.message.payload import with_payload as with_payload
from klio_dagster.message.routing import Accepted as Accepted
from klio_dagster.message.routing import Dropped as Dropped
from klio_dagster.message.routing import accepts as accepts
from klio_dagster.message.upstream import answers as answers
from klio_dagster.message.upstream import request_upstream as request_upstream
from klio_dagster.message.wire import decode as decode
from klio_dagster.message.wire import encode as encode
