"""What a batch of events is on the wire: its media type, headers, and the attributes that the bus adds. Pure."""

#: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md#4-json-batch-format
BATCH_TYPE = "application/cloudevents-batch+json"
#: A CloudEvent in structured mode.
STRUCTURED_TYPE = "application/cloudevents+json"
#: The header with the number of events.
BATCH_HEADER = "Eventbus-Batch"
#: Bytes of a batch's body, at most, where it holds more than one event.
BATCH_BYTES = 1_048_576
#: Attributes of an element that the bus adds: the bus's id of an event that was published as a CloudEvent with an id of
#: its own, the topic where it is not the type, the order key, and the content coding.
ID_ATTRIBUTE, TOPIC_ATTRIBUTE, KEY_ATTRIBUTE, CODING_ATTRIBUTE = "eventbusid", "eventbustopic", "key", "contentencoding"
#: The attribute with the name of the token that published the event, and the header that it stands for.
PUBLISHER_ATTRIBUTE, PUBLISHER_FIELD = "eventbuspublisher", "eventbus-publisher"
#: Attributes of an event that was published for a dead letter, each with the header that it stands for.
DEAD_ATTRIBUTES = {
    f"eventbusdead{part}": f"eventbus-dead-{part}" for part in ("reason", "subscriber", "event", "topic")
}
#: The type of an event without a topic. An event with it as its topic has a topic attribute.
NO_TYPE = "eventbus/event"
#: The source of an event that was not published as a CloudEvent.
SOURCE = "eventbus"
