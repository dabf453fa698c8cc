"""What goes wrong while the clients work: the server is killed, and its queue is filled up."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psutil

from local.faults import FaultPlan, set_faults
from local.lifecycle import require_cloud
from local.settings import LOOPBACK, LocalSettings

__all__ = ["Trouble"]

# More than the container queues: the rest of them, and jobs that come at the time, are refused.
_FLOOD = 24
_FLOOD_REQUEST = {"prompt": "sun", "preset": "fast", "num_inference_steps": 2}


class Trouble:
    """Makes trouble as the work goes on.

    Attributes:
        kills: Servers killed so far.
        floods: Times the queue was filled so far.
        refused: Calls of these floods that the full queue refused.
    """

    def __init__(self, settings: LocalSettings, plan: FaultPlan, kills: int, jobs: int) -> None:
        """Plan it.

        Args:
            settings: The local cloud's.
            plan: What the local cloud does by itself.
            kills: How often the server is killed; its queue is filled as often, in between.
            jobs: How many jobs there will be.
        """
        self.kills = self.floods = self.refused = 0
        self._settings, self._plan = settings, plan
        # At these numbers of ended jobs, evenly spread.
        self._moments = [jobs * (index + 1) // (2 * kills + 2) for index in range(2 * kills)]
        self._background: list[threading.Thread] = []

    def __enter__(self) -> "Trouble":
        """Let the local cloud begin to fail."""
        set_faults(self._settings, self._plan)
        return self

    def __exit__(self, *_: object) -> None:
        """End it, so that what is left can come to its end."""
        set_faults(self._settings, None)
        for thread in self._background:
            thread.join()

    def on_end(self, ended: int) -> None:
        """Make what is due.

        Args:
            ended: Jobs that ended so far.
        """
        while self._moments and ended >= self._moments[0]:
            self._moments.pop(0)
            if (self.kills + self.floods) % 2:
                self.floods += 1
                thread = threading.Thread(target=self._flood)
                thread.start()
                self._background.append(thread)
            elif self._kill():
                self.kills += 1

    def _kill(self) -> bool:
        cloud = psutil.Process(require_cloud(self._settings).pid)
        for child in cloud.children(recursive=True):
            if "nvfp4_ddim_server" in child.cmdline():
                child.kill()
                return True
        return False

    def _flood(self) -> None:
        url = f"http://{LOOPBACK}:{self._settings.inference_port}/invocations"

        def call(seed: int) -> int:
            body: dict[str, Any] = {**_FLOOD_REQUEST, "seed": seed}
            try:
                return httpx.post(url, json=body, timeout=60, trust_env=False).status_code
            except httpx.TransportError:
                return 0

        with ThreadPoolExecutor(_FLOOD) as pool:
            statuses = list(pool.map(call, range(_FLOOD)))
        self.refused += sum(status >= 429 for status in statuses)
