"""The Realtime protocol on the wire: messages as values, and the codec between them and JSON.

Nothing here knows sockets, time or the session's own words; the projection between the two vocabularies is apart.
"""
