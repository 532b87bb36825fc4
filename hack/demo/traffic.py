"""Live traffic: cars are sent one by one over new connections, and every answer is counted."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from hack.demo.cars import Car

RATE = 25.0
TIMEOUT = 5.0


@dataclass(frozen=True)
class Answer:
    """One request. `version` and `predicted` are None when it failed; then `failure` says how."""

    moment: float
    car: Car
    version: str | None
    predicted: float | None
    failure: str | None
    seconds: float


@dataclass
class Traffic:
    """Sends the cars of `cars` in random order at a steady rate until it is stopped."""

    url: str
    model: str
    cars: list[Car]
    answers: deque[Answer] = field(default_factory=deque)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to send."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish the request in progress and end."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(TIMEOUT + 1)

    def since(self, moment: float) -> list[Answer]:
        """Return the answers since a moment of the monotonic clock."""
        return [answer for answer in list(self.answers) if answer.moment >= moment]

    def _run(self) -> None:
        chance = random.Random(7)
        due = time.monotonic()
        while not self._stop.is_set():
            self.answers.append(self._ask(chance.choice(self.cars)))
            due = max(due + 1 / RATE, time.monotonic())
            self._stop.wait(due - time.monotonic())

    def _ask(self, car: Car) -> Answer:
        began = time.monotonic()
        inputs = [
            {"name": name, "shape": [1, 1], "datatype": "FP64", "data": [value]}
            for name, value in car.features().items()
        ]
        address = urlsplit(self.url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port or 80, timeout=TIMEOUT)
        try:
            connection.request(
                "POST",
                f"/v2/models/{self.model}/infer",
                json.dumps({"inputs": inputs}),
                {"Content-Type": "application/json"},
            )
            response = connection.getresponse()
            body = response.read()
            if response.status != 200:
                return self._failed(began, car, f"{response.status}: {body[:200].decode(errors='replace')}")
            answer = json.loads(body)
            predicted = next(out["data"][0] for out in answer["outputs"] if out["name"] == "predict")
            version = answer["model_version"]
            return Answer(began, car, version, float(predicted), None, time.monotonic() - began)
        except (OSError, http.client.HTTPException, ValueError, KeyError, StopIteration) as error:
            return self._failed(began, car, repr(error))
        finally:
            connection.close()

    def _failed(self, began: float, car: Car, failure: str) -> Answer:
        return Answer(began, car, None, None, failure, time.monotonic() - began)


def mean_absolute_error(answers: list[Answer]) -> float | None:
    """Return the error in miles per gallon over the answers whose true mileage is known; None without any."""
    errors = [
        abs(answer.predicted - answer.car.mileage)
        for answer in answers
        if answer.predicted is not None and answer.car.mileage is not None
    ]
    return sum(errors) / len(errors) if errors else None
