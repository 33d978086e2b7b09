"""Pub/Sub as a postman sees it: topics and subscriptions, bytes and attributes.

What stands in a message is `klio_dagster.message`'s business, what is done with it
`klio_dagster.streaming`'s. May import `core` and `errors`; Google's library is loaded by the first
call, never by an import. Why it lies so low: docs/adr/0016-pubsub-is-a-room-of-its-own.md.
"""
