"""How fast an archive catches up, and what that costs the living.

    /usr/bin/python3 tests/catch_up.py target/release/sen

Starts a VictoriaMetrics and a centre of its own on free loopback ports. While the server is away a
backlog is published; then it comes back, and until it holds everything readings go on at the live
rate, one packet each, with the time to each PUBACK. Prints one line of JSON. Needs the Debian packages
victoria-metrics and python3-paho-mqtt; stops by itself.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import paho.mqtt.client as mqtt

LIVE_PER_S = 500
BACKLOG = 300_000
PER_PACKET = 50
SERIES = 500
LONGEST_S = 300


def free_port():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def get(url):
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read()


def wait_for(fact):
    end = time.monotonic() + LONGEST_S
    while time.monotonic() < end:
        try:
            if fact():
                return
        except OSError:
            pass
        time.sleep(0.05)
    sys.exit("waited in vain")


def victoria(port, folder):
    command = ["victoria-metrics", f"-storageDataPath={folder}", f"-httpListenAddr=127.0.0.1:{port}",
               "-retentionPeriod=10y", "-dedup.minScrapeInterval=1ms", "-loggerLevel=ERROR"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: get(f"http://127.0.0.1:{port}/health"))
    return server


def client(port, name):
    device = mqtt.Client(client_id=name)
    device.max_inflight_messages_set(1000)
    device.connect("127.0.0.1", port)
    device.loop_start()
    return device


def publish_backlog(port, begin_ms):
    device, waiting = client(port, "backlog"), []
    for packet in range(BACKLOG // PER_PACKET):
        number = packet * PER_PACKET
        batch = [{"ts": begin_ms + (number + n) // SERIES * 1000,
                  "values": {f"m{(number + n) % 100}": 0.5 + n}} for n in range(PER_PACKET)]
        name = f"backlog-{(number % SERIES) // 100}"
        waiting.append(device.publish(f"sen/v1/{name}/telemetry", json.dumps(batch), qos=1))
    for sent in waiting:
        sent.wait_for_publish(LONGEST_S)
    device.disconnect()


def live(port, stop, latencies):
    device, sent, due = client(port, "live"), {}, time.monotonic()
    device.on_publish = lambda _c, _u, mid: latencies.append(time.monotonic() - sent.pop(mid, time.monotonic()))
    while not stop.is_set():
        now = time.monotonic()
        info = device.publish("sen/v1/live-1/telemetry", json.dumps({f"v{len(latencies) % 10}": 1.0}), qos=1)
        sent[info.mid] = now
        due += 1 / LIVE_PER_S
        time.sleep(max(0.0, due - time.monotonic()))
    device.disconnect()


def p99_ms(latencies):
    ordered = sorted(latencies)
    return round(1000 * ordered[int(0.99 * (len(ordered) - 1))], 1) if ordered else None


def measure(binary):
    folder, port = tempfile.TemporaryDirectory(), free_port()
    environment = dict(os.environ, SEN__STORE__ARCHIVE=f"victoriametrics+http://127.0.0.1:{port}",
                       SEN__GATEWAY__LISTEN="127.0.0.1:0", SEN__INGEST__LISTEN="127.0.0.1:0",
                       SEN__TELEMETRY__FILTER="error", SEN__INGEST__MAX_NEW_SERIES_PER_MINUTE="1000")
    server = victoria(port, folder.name + "/victoria")
    centre = subprocess.Popen([binary, "run", "--print-addresses", "--data", folder.name + "/data"],
                              stdout=subprocess.PIPE, env=environment)
    try:
        broker = int(json.loads(centre.stdout.readline())["mqtt"].rsplit(":", 1)[1])
        quiet, quiet_ms = threading.Event(), []
        thread = threading.Thread(target=live, args=(broker, quiet, quiet_ms))
        thread.start()
        time.sleep(10)
        quiet.set()
        thread.join()
        server.kill()
        server.wait()
        publish_backlog(broker, (int(time.time()) - 6 * 3600) * 1000)
        server = victoria(port, folder.name + "/victoria")
        begun, stop, busy_ms = time.monotonic(), threading.Event(), []
        thread = threading.Thread(target=live, args=(broker, stop, busy_ms))
        thread.start()
        query = 'http://127.0.0.1:%d/api/v1/export?match%%5B%%5D=reading_value%%7Bdevice%%3D~%%22backlog.%%2A%%22%%7D' % port

        def is_there():
            get(f"http://127.0.0.1:{port}/internal/force_flush")
            lines = get(query).splitlines()
            return sum(len(json.loads(line)["timestamps"]) for line in lines) >= BACKLOG

        wait_for(is_there)
        took = time.monotonic() - begun
        stop.set()
        thread.join()
        print(json.dumps({"backlog": BACKLOG, "caught_up_s": round(took, 1),
                          "readings_per_s": round(BACKLOG / took), "live_per_s": LIVE_PER_S,
                          "times_live": round(BACKLOG / took / LIVE_PER_S, 1),
                          "ack_p99_ms_before": p99_ms(quiet_ms), "ack_p99_ms_meanwhile": p99_ms(busy_ms)}))
    finally:
        for process in (centre, server):
            process.kill()
            process.wait()
        folder.cleanup()


if __name__ == "__main__":
    measure(sys.argv[1])
