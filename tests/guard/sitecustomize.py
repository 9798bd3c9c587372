"""Python imports a module of this name when it starts: here it keeps a test off the network.

conftest.py puts this folder on PYTHONPATH, so the scripts that the tests start are watched too.
"""

import socket
import sys

HERE = {"localhost", "127.0.0.1", "::1", "", None}


def refuse_the_network(event: str, arguments: tuple) -> None:
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if host not in HERE and host != socket.gethostname():
        # No OSError: that would be taken for a network that is down, and survived.
        raise RuntimeError(f"a test wants to reach {host}")


sys.addaudithook(refuse_the_network)
