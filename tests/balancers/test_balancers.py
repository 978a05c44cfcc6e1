"""Sign-ins through each balancer, while both gateways are there, while one drains, and when it is gone."""

import json
import signal
import socket
import threading
import time
import unittest

from client import WebSocket, request, rpc, sign_in
from rig import Apache, HAProxy, Nginx, Rig, takes_connections, until

# How long a balancer may need to notice that a gateway drains: an interval between two checks, twice.
NOTICE_SECONDS = 10


def call_from_sip(port, user):
    """An INVITE that nobody takes back: the call rings until it is rejected."""
    caller = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    caller.bind(("127.0.0.1", 0))
    own = caller.getsockname()[1]
    sdp = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 30000 RTP/AVP 0\r\n"
    lines = [
        f"INVITE sip:{user}@127.0.0.1:{port} SIP/2.0", f"Via: SIP/2.0/UDP 127.0.0.1:{own};branch=z9hG4bK1", "Max-Forwards: 70",
        "From: <sip:caller@127.0.0.1>;tag=1", f"To: <sip:{user}@127.0.0.1>", f"Call-ID: {own}@127.0.0.1", "CSeq: 1 INVITE",
        f"Contact: <sip:caller@127.0.0.1:{own}>", "Content-Type: application/sdp", f"Content-Length: {len(sdp)}", "", sdp,
    ]
    caller.sendto("\r\n".join(lines).encode(), ("127.0.0.1", port))
    return caller


class LongPoll(threading.Thread):
    """A poll for which nothing comes."""

    def __init__(self, base):
        super().__init__(daemon=True)
        self.base = base
        self.token = sign_in(base, "1003", cookie=".gw2").result["token"]
        self.answer, self.seconds = None, None

    def run(self):
        begin = time.monotonic()
        self.answer = request(self.base, "GET", "/v1/events?after=0", cookie=".gw2", token=self.token)
        self.seconds = time.monotonic() - begin


class Balancer:
    """The tests; in the order of their numbers, because a gateway ends on the way."""

    balancer = None

    @classmethod
    def setUpClass(cls):
        cls.rig, cls.poll = RIGS[cls.balancer]
        cls.base = cls.rig.base

    def heartbeats(self, **with_what):
        return [rpc(self.base, "session.heartbeat", **with_what) for _ in range(20)]

    def test_1_the_page(self):
        answer = request(self.base, "GET", "/")
        self.assertEqual(answer.status, 200)
        self.assertIn(b"<title>Softphone</title>", answer.body)

    def test_2_both_gateways_are_used(self):
        self.assertEqual({answer.node for answer in self.heartbeats()}, {".gw1", ".gw2"})

    def test_3_the_cookie_leads_to_its_gateway(self):
        for node in (".gw1", ".gw2"):
            self.assertEqual({answer.node for answer in self.heartbeats(cookie=node)}, {node})
            link = WebSocket(self.base, cookie=node)
            self.assertEqual((link.status, link.node), (101, node))
            self.assertIsNotNone(link.call("session.signIn", {"user": "1001", "password": "secret"}))
            link.close()

    def test_4_who_signed_in_without_websocket_stays_signed_in(self):
        first = sign_in(self.base, "1001")
        answers = self.heartbeats(cookie=first.node, token=first.result["token"])
        self.assertNotIn(None, [answer.result for answer in answers])

    def test_5_a_draining_gateway_keeps_its_users_and_gets_no_new_ones(self):
        token = sign_in(self.base, "1001", cookie=".gw1").result["token"]
        link = WebSocket(self.base, cookie=".gw1")
        self.addCleanup(link.close)
        link.call("session.signIn", {"user": "1002", "password": "secret"})
        self.addCleanup(call_from_sip(self.rig.sip["gw1"], "1001").close)
        events = json.loads(request(self.base, "GET", "/v1/events?after=0", cookie=".gw1", token=token).body)["events"]
        self.assertEqual([event["method"] for event in events], ["call.incoming"])
        self.rig.gateways["gw1"].send_signal(signal.SIGTERM)

        def new_ones_go_elsewhere():
            return sign_in(self.base, "1004", cookie=".gw1").node == ".gw2"

        until(new_ones_go_elsewhere, "the balancer notices", NOTICE_SECONDS)
        newcomer = WebSocket(self.base, cookie=".gw1")
        self.assertEqual((newcomer.status, newcomer.node), (101, ".gw2"))
        newcomer.close()
        self.assertIsNotNone(link.call("session.heartbeat"))
        reject = rpc(self.base, "call.reject", {"callId": events[0]["params"]["callId"]}, cookie=".gw1", token=token)
        self.assertEqual((reject.node, reject.result), (".gw1", {}))

    def test_6_a_dead_gateways_clients_go_to_another_at_once(self):
        until(lambda: not takes_connections(self.rig.http["gw1"]), "gw1 ends")
        begin = time.monotonic()
        for _ in range(5):
            answer = sign_in(self.base, "1001", cookie=".gw1")
            self.assertEqual(answer.node, ".gw2")
            self.assertIsNotNone(answer.result)
        link = WebSocket(self.base, cookie=".gw1")
        self.assertEqual((link.status, link.node), (101, ".gw2"))
        link.close()
        self.assertLess(time.monotonic() - begin, 5)

    def test_7_long_polls_are_waited_for(self):
        self.poll.join(60)
        self.assertEqual((self.poll.answer.status, json.loads(self.poll.answer.body)), (200, {"events": []}))
        self.assertGreater(self.poll.seconds, 20)


class TestNginx(Balancer, unittest.TestCase):
    balancer = Nginx


class TestHAProxy(Balancer, unittest.TestCase):
    balancer = HAProxy


class TestApache(Balancer, unittest.TestCase):
    balancer = Apache


RIGS = {}


def setUpModule():
    for balancer in (Nginx, HAProxy, Apache):
        rig = Rig(balancer)
        unittest.addModuleCleanup(rig.stop)
        rig.start()
        poll = LongPoll(rig.base)
        poll.start()
        RIGS[balancer] = rig, poll


if __name__ == "__main__":
    unittest.main()
