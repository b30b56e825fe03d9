"""A topic of Kafka as a queue: acknowledged by all replicas in sync, and offsets are committed once records are stored.

A topic is made with a retention of seven days; one that keeps its messages longer is refused.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

from rl_eval.errors import InputError
from rl_eval.extras import imports_of_extra
from rl_eval.production.collection_config import RETENTION_S
from rl_eval.production.queues.protocol import Message, QueueError, missing
from rl_eval.production.records import MAX_MESSAGE

AUTH_VARIABLE = "RL_EVAL_KAFKA_AUTH"
DELIVERY_S = 10.0
ANSWER_S = 10.0
TOPIC_S = 3.0  # for making a topic; some brokers make them themselves and answer nothing
# They load code, or hold secrets.
REFUSED = ("plugin.library.paths", "ssl.engine.location", "ssl.providers", "sasl.oauthbearer.method")


class KafkaQueue:
    """See `Queue`.

    Args:
        address: `kafka://HOST:PORT`, with more after commas; user and password are in `RL_EVAL_KAFKA_AUTH`.
        topic, group: their names.
        settings: of librdkafka.
        create: whether a topic that is missing is created.

    Raises:
        InputError: a setting is refused, or the topic keeps its messages for too long.
        QueueError: it is away, or there is no topic.
    """

    is_quick = False

    def __init__(
        self, address: str, topic: str, group: str, settings: Mapping[str, str] | None = None, create: bool = True
    ):
        with imports_of_extra("kafka", "a queue of Kafka"):
            import confluent_kafka
            from confluent_kafka import admin
        self._kafka: Any = confluent_kafka
        self._api: Any = admin
        self._topic = topic
        self._label = address
        for name in settings or {}:
            if name in REFUSED or "password" in name or "secret" in name or name.endswith(".pem"):
                raise InputError(
                    f"collect.settings: {name} is not taken from a file: set {AUTH_VARIABLE}=USER:PASSWORD"
                )
        common: dict[str, Any] = {
            "bootstrap.servers": address.removeprefix("kafka://"), "client.id": "rl_eval", "log_level": 0,
            "error_cb": lambda error: None, **(settings or {}),
        }  # fmt: skip
        user, colon, password = os.environ.get(AUTH_VARIABLE, "").partition(":")
        if colon:
            common |= {"sasl.username": user, "sasl.password": password}
            common.setdefault("security.protocol", "SASL_SSL")
            common.setdefault("sasl.mechanism", "SCRAM-SHA-512")
        producing = {
            "acks": "all", "enable.idempotence": True, "linger.ms": 0, "message.max.bytes": MAX_MESSAGE + 65_536,
            "delivery.timeout.ms": int(DELIVERY_S * 1000), "compression.type": "lz4",
        }  # fmt: skip
        consuming = {
            "group.id": group, "enable.auto.commit": False, "auto.offset.reset": "earliest",
            "session.timeout.ms": 10_000, "fetch.message.max.bytes": MAX_MESSAGE + 65_536,
        }  # fmt: skip
        try:
            self._producer = confluent_kafka.Producer({**common, **producing})
            self._admin = admin.AdminClient(common)
        except (confluent_kafka.KafkaException, TypeError, ValueError) as error:
            raise InputError(f"collect.settings cannot be used ({_reason(error)}): see librdkafka's names") from error
        self._consumer_settings = {**common, **consuming}
        self._consumer: Any = None
        self._make_topic(create)

    def _make_topic(self, create: bool) -> None:
        try:
            topics = self._admin.list_topics(timeout=ANSWER_S).topics
            if self._topic not in topics:
                if not create:
                    raise missing(f"{self._label} has no topic {self._topic}")
                keep = {"retention.ms": str(int(RETENTION_S * 1000))}
                made = self._admin.create_topics(
                    [self._api.NewTopic(self._topic, 3, config=keep)], request_timeout=TOPIC_S
                )
                with contextlib.suppress(
                    self._kafka.KafkaException
                ):  # another server was first, or it makes them itself
                    made[self._topic].result()
                return
            resource = self._api.ConfigResource(self._api.ConfigResource.Type.TOPIC, self._topic)
            described = self._admin.describe_configs([resource], request_timeout=TOPIC_S)[resource]
            with contextlib.suppress(self._kafka.KafkaException):  # a broker that does not say
                entry = described.result().get("retention.ms")
                kept = None if entry is None else int(entry.value)
                if kept is not None and not 0 <= kept <= RETENTION_S * 1000:
                    raise InputError(f"topic {self._topic} keeps messages for {kept} ms: set retention.ms to 7 days")
        except self._kafka.KafkaException as error:
            raise QueueError(f"{self._label} cannot be used ({_reason(error)}): start it, and try again") from error

    def put(self, messages: Sequence[bytes]) -> None:
        """Add messages."""
        failed: list[Any] = []
        delivered = 0

        def report(error: Any, _: Any) -> None:
            nonlocal delivered
            delivered += 1
            if error is not None:
                failed.append(error)

        try:
            for body in messages:
                self._producer.produce(self._topic, body, on_delivery=report)
            self._producer.flush(DELIVERY_S + 1)
        except (self._kafka.KafkaException, BufferError) as error:
            raise QueueError(f"{self._label} cannot be used ({_reason(error)})") from error
        if failed or delivered < len(messages):
            reason = _reason(failed[0]) if failed else "no answer in time"
            raise QueueError(f"{self._label} cannot be used ({reason})")

    def take(self, limit: int, wait_s: float) -> list[Message]:
        """Messages of the partitions that this consumer has in its group."""
        if self._consumer is None:
            self._consumer = self._kafka.Consumer(self._consumer_settings)
            self._consumer.subscribe([self._topic])
        try:
            messages = self._consumer.consume(min(limit, 10_000), wait_s)
        except self._kafka.KafkaException as error:
            raise QueueError(f"{self._label} cannot be used ({_reason(error)}): it is tried again") from error
        return [Message((m.partition(), m.offset()), m.value() or b"") for m in messages if m.error() is None]

    def acknowledge(self, messages: Sequence[Message]) -> None:
        """Commit the offsets after messages."""
        after: dict[int, int] = {}
        for message in messages:
            partition, offset = message.token
            after[partition] = max(after.get(partition, 0), offset + 1)
        if not after:
            return
        offsets = [self._kafka.TopicPartition(self._topic, partition, offset) for partition, offset in after.items()]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=False)
        except self._kafka.KafkaException as error:  # such as after a rebalance
            raise QueueError(f"{self._label} did not take the offsets ({_reason(error)}): they come again") from error

    def waiting(self) -> tuple[int, float | None]:
        """How far the group is behind; when the oldest was put in is not known."""
        consumer = self._kafka.Consumer(self._consumer_settings)
        try:
            topic = consumer.list_topics(self._topic, ANSWER_S).topics[self._topic]
            asked = [self._kafka.TopicPartition(self._topic, partition) for partition in topic.partitions]
            count = 0
            for committed in consumer.committed(asked, ANSWER_S):
                low, high = consumer.get_watermark_offsets(committed, ANSWER_S)
                count += high - max(low, committed.offset)
            return count, None
        except self._kafka.KafkaException as error:
            raise QueueError(f"{self._label} cannot be used ({_reason(error)}): it is tried again") from error
        finally:
            consumer.close()

    def sync(self) -> None:
        """Nothing: the replicas have it."""

    def remove_old(self, before: float) -> int:
        """Have messages removed that are committed, or older; the broker removes their files in its own time."""
        consumer = self._kafka.Consumer(self._consumer_settings)
        try:
            topic = consumer.list_topics(self._topic, ANSWER_S).topics[self._topic]
            asked = [self._kafka.TopicPartition(self._topic, partition) for partition in topic.partitions]
            committed = [one for one in consumer.committed(asked, ANSWER_S) if one.offset > 0]
            removed = self._admin.delete_records(committed, request_timeout=ANSWER_S) if committed else {}
            return sum(1 for future in removed.values() if future.exception() is None)
        except (self._kafka.KafkaException, NotImplementedError):
            return 0  # a broker that cannot: the retention of the topic removes them
        finally:
            consumer.close()

    def close(self) -> None:
        """Leave the group."""
        if self._consumer is not None:
            self._consumer.close()
        self._producer.flush(1.0)


def _reason(error: Any) -> str:
    first = error.args[0] if getattr(error, "args", None) else error
    text = first.str() if hasattr(first, "str") else str(first)
    return " ".join(str(text).split())[:200]
