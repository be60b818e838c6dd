"""A device written with paho: publishes 300 readings with QoS 1 and prints how many PUBACKs came.

Arguments: the port on loopback, and the event time of the first reading in milliseconds UTC.
"""

import json
import sys

import paho.mqtt.client as mqtt

port, begun_ms = int(sys.argv[1]), int(sys.argv[2])
client = mqtt.Client(client_id="paho-311", protocol=mqtt.MQTTv311)
client.max_inflight_messages_set(20)
client.connect("127.0.0.1", port, keepalive=30)
client.loop_start()

acknowledged = 0
sent = [
    client.publish(
        "sen/v1/paho-311/telemetry",
        json.dumps({"ts": begun_ms + n, "values": {"n": n}}),
        qos=1,
    )
    for n in range(300)
]
for message in sent:
    message.wait_for_publish(timeout=60)
    acknowledged += message.is_published()

client.disconnect()
client.loop_stop()
print(acknowledged)
