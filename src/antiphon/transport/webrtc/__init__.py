"""Calls over WebRTC: ICE, DTLS and SCTP are aiortc's, what the person says and hears is ours.

aiortc's own sender and receiver are made for players and recorders: a fixed delay of four packets, a thread for each
decoder, a thread hop for each frame. Between the network and the session lie instead, each in a module of its own:
`offer` (SDP), `peer` (the way to the other side), `arrivals` and `ear` (what comes in), `speaker` (what goes out),
`reports` (how well it goes), `opus`, `rtp`, and `call`, which joins them to a session.
docs/decisions/0011-webrtc.md has the reasons and the figures.
"""
