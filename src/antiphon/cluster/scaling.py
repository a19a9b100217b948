"""How many replicas with conversations there should be: by the conversations that they have.

Ray Serve by itself counts requests that are under way. A call over WebRTC is none: what began it was answered at once,
and its sound comes past Serve. How fast the number follows is Serve's business.
"""

from __future__ import annotations

from typing import Any

from ray.serve.config import AutoscalingContext

CONVERSATIONS = "conversations"
"""What a replica calls the number that it tells Serve from time to time."""


def by_conversations(context: AutoscalingContext) -> tuple[float, dict[str, Any]]:
    """So many replicas that each has the conversations that are wished for one; a policy of Serve's autoscaling."""
    counted = (context.aggregated_metrics or {}).get(CONVERSATIONS)
    if not counted:  # nobody has told anything yet
        return context.target_num_replicas, {}
    return sum(counted.values()) / context.config.get_target_ongoing_requests(), {}
