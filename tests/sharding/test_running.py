import concurrent.futures
from pathlib import Path

import grpc

from ssl_tf.sharding.running import _loopback

LOOPBACK = {"0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"}


def listening(port):
    """Addresses, as the kernel prints them, on which somebody listens at a port."""
    rows = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        if Path(table).exists():
            rows += [line.split() for line in Path(table).read_text().splitlines()[1:]]
    return {
        address
        for address, number, state in ((*row[1].split(":"), row[3]) for row in rows)
        if int(number, 16) == port and state == "0A"
    }


def addresses_of_a_server():
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        server = grpc.server(pool)
        port = server.add_insecure_port("[::]:0")
        server.start()
        found = listening(port)
        server.stop(None).wait()
    return found


def test_ports_of_local_workers_are_open_to_this_machine_only():
    with _loopback():
        inside = addresses_of_a_server()
    assert inside and inside <= LOOPBACK
    assert not addresses_of_a_server() <= LOOPBACK  # that of others is left as it is
