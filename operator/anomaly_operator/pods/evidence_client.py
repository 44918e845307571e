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

_TIMEOUT: Final = aiohttp.ClientTimeout(total=2)
_MAX_BYTES: Final = 1024 * 1024
_KEPT: Final = 20.0
"""Seconds that a pod's last answer stands in for one that did not come."""
_AT_ONCE: Final = 64

logger = logging.getLogger(__name__)


class EvidenceReader:
    """Reads /evidence over HTTP from the pods' addresses."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._session = aiohttp.ClientSession(timeout=_TIMEOUT, connector=aiohttp.TCPConnector(limit=_AT_ONCE))

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def ask(self, pods: Sequence[Pod], before: Evidence, now: float) -> Evidence:
        """Evidence of all pods that run; of those that do not answer, what they said before."""
        running = [pod for pod in pods if pod.address and pod.phase == "Running" and not pod.terminating]
        answers = await asyncio.gather(*(self._ask(pod) for pod in running))
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

    async def _ask(self, pod: Pod) -> DetectorEvidence | TrainingEvidence | None:
        host = f"[{pod.address}]" if ":" in pod.address else pod.address
        try:
            async with self._session.get(f"http://{host}:{self._port}/evidence") as answer:
                if answer.status != 200:
                    return None
                content = await answer.content.read(_MAX_BYTES)
            if pod.component == TRAINER:
                return TrainingEvidence.model_validate_json(content).model_copy(update={"pod": pod.name})
            return DetectorEvidence.model_validate_json(content).model_copy(update={"pod": pod.name})
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            logger.debug("pod %s does not answer: %r", pod.name, error)
        except ValidationError as error:
            logger.warning("pod %s answers with what is not evidence: %s", pod.name, error)
        return None
