"""Asks the pods of a detector for their evidence. An answer is kept for a while: one that is late is not a silence."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

import aiohttp
from pydantic import ValidationError

from anomaly_api.evidence import DetectorEvidence, TrainingEvidence
from anomaly_operator.core.resources.names import TRAINER
from anomaly_operator.core.snapshot import Evidence
from anomaly_operator.core.status.pods import Pod

_SECONDS: Final = 2.0
"""That a pod has for its answer, from when it is asked; waiting for one's turn does not count."""
_MAX_BYTES: Final = 1024 * 1024
_MAX_SUSPECTS: Final = 10_000
_KEPT: Final = 20.0
"""Seconds that a pod's last answer stands in for one that did not come."""
_AT_ONCE: Final = 256
_SUSPECTS_AT_ONCE: Final = 64
"""Pods that are asked at the same time; those that did not answer the last time wait for turns of their own, so that however many
they are, nobody else waits for them."""

logger = logging.getLogger(__name__)


class EvidenceReader:
    """Reads /evidence over HTTP from the pods' addresses."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=None), connector=aiohttp.TCPConnector(limit=_AT_ONCE + _SUSPECTS_AT_ONCE)
        )
        self._turns, self._suspects_turns = asyncio.Semaphore(_AT_ONCE), asyncio.Semaphore(_SUSPECTS_AT_ONCE)
        self._suspects: set[str] = set()

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def ask(self, pods: Sequence[Pod], before: Evidence, now: float) -> Evidence:
        """Evidence of all pods that run; of those that do not answer, what they said before."""
        running = [pod for pod in pods if pod.address and pod.phase == "Running" and not pod.terminating]
        answers = await asyncio.gather(*(self._ask_in_turn(pod) for pod in running))
        asked = {pod.name: now for pod, answer in zip(running, answers, strict=True) if answer is not None}
        kept = {pod.name: before.asked[pod.name] for pod in running if now - before.asked.get(pod.name, 0.0) < _KEPT}
        kept = {name: when for name, when in kept.items() if name not in asked}
        detectors = [answer for answer in answers if isinstance(answer, DetectorEvidence)]
        trainers = [answer for answer in answers if isinstance(answer, TrainingEvidence)]
        if not trainers and before.trainer is not None and before.trainer.pod in kept:
            trainers = [before.trainer]
        return Evidence(
            asked={**kept, **asked},
            detectors=(*detectors, *(said for said in before.detectors if said.pod in kept)),
            trainer=trainers[-1] if trainers else None,
        )

    async def _ask_in_turn(self, pod: Pod) -> DetectorEvidence | TrainingEvidence | None:
        async with self._suspects_turns if pod.address in self._suspects else self._turns:
            answer = await self._ask(pod)
        if answer is None:
            if len(self._suspects) >= _MAX_SUSPECTS:  # addresses of pods that are long gone
                self._suspects.clear()
            self._suspects.add(pod.address)
        else:
            self._suspects.discard(pod.address)
        return answer

    async def _ask(self, pod: Pod) -> DetectorEvidence | TrainingEvidence | None:
        try:
            async with asyncio.timeout(_SECONDS):
                content = await self._content(pod.address)
            if content is None:
                return None
            if pod.component == TRAINER:
                return TrainingEvidence.model_validate_json(content).model_copy(update={"pod": pod.name})
            return DetectorEvidence.model_validate_json(content).model_copy(update={"pod": pod.name})
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            logger.debug("pod %s does not answer: %r", pod.name, error)
        except ValidationError as error:
            logger.warning("pod %s answers with what is not evidence: %s", pod.name, error)
        return None

    async def _content(self, address: str) -> bytes | None:
        """The whole body; None when it is an error, a redirect (a pod has no business elsewhere), or too long."""
        host = f"[{address}]" if ":" in address else address
        async with self._session.get(f"http://{host}:{self._port}/evidence", allow_redirects=False) as answer:
            if answer.status != 200:
                return None
            content = bytearray()
            async for part in answer.content.iter_any():
                content += part
                if len(content) > _MAX_BYTES:
                    return None
            return bytes(content)
