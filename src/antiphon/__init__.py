"""A voice server that keeps to itself: libraries that would report to their makers are told not to."""

import os

# onnxruntime, which hears voices for us, uploads what it runs on and which models, and keeps an id of the machine in
# the user's cache, unless this is set before it is imported. Whoever wants that says "0".
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
