"""Two gateways, and a balancer with its sample configuration in front of them."""

import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
SAMPLES = ROOT / "deploy/balancers"
GATEWAY = os.environ.get("GATEWAY", str(ROOT / "target/checked/webrtc-sip-gateway"))
APACHE_MODULES = os.environ.get("APACHE_MODULES", "/usr/lib/apache2/modules")
START_SECONDS = 15
STOP_SECONDS = 10
# Fewer open files than the samples ask for.
CONNECTIONS = "1000"

USERS = "".join(f'[[users]]\nname = "{name}"\npassword = "secret"\n' for name in ["1001", "1002", "1003", "1004"])
GATEWAY_FILE = """
node = "{node}"
[http]
listen = "127.0.0.1:{http}"
trusted_proxies = ["127.0.0.1"]
[metrics]
listen = "127.0.0.1:0"
[sip]
listen = ["127.0.0.1:{sip}"]
[media]
listen = ["127.0.0.1"]
webrtc_port = 0
workers = 1
[turn]
listen = []
{users}"""


def free_ports(count):
    """Below those that systems give to outgoing connections, so that none of those takes one before it is used."""
    ports = []
    while len(ports) < count:
        port = random.randrange(10_000, 30_000)
        with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            try:
                tcp.bind(("127.0.0.1", port))
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in ports:
            ports.append(port)
    return ports


def until(condition, what, seconds=START_SECONDS):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} s: {what}")
        time.sleep(0.05)


def takes_connections(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


class Rig:
    """`with Rig(Nginx) as rig`: rig.base is its address, rig.gateways the processes by node."""

    def __init__(self, balancer):
        self.balancer = balancer
        self.folder = tempfile.TemporaryDirectory()
        self.processes = []
        self.gateways = {}

    def start(self):
        try:
            return self._start()
        except BaseException:
            for log in sorted(Path(self.folder.name).glob("*.log")):
                print(f"==== {log.name}\n{log.read_text(errors='replace')}", file=sys.stderr)
            self.stop()
            raise

    def _start(self):
        home = Path(self.folder.name)
        (self.port, *ports) = free_ports(5)
        self.base = f"https://127.0.0.1:{self.port}"
        self.http = dict(zip(["gw1", "gw2"], ports[:2]))
        self.sip = dict(zip(["gw1", "gw2"], ports[2:]))
        for node in self.http:
            file = home / f"{node}.toml"
            file.write_text(GATEWAY_FILE.format(node=node, http=self.http[node], sip=self.sip[node], users=USERS))
            self.gateways[node] = self._run(home / f"{node}.log", GATEWAY, "--config", file)
        for port in self.http.values():
            until(lambda: takes_connections(port), "a gateway starts")
        certificate, key = home / "webrtc.crt", home / "webrtc.key"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
             "-subj", "/CN=localhost", "-keyout", key, "-out", certificate],
            check=True, capture_output=True, timeout=START_SECONDS,
        )
        (home / "webrtc.pem").write_text(certificate.read_text() + key.read_text())
        sample = (SAMPLES / self.balancer.sample).read_text()
        sample = sample.replace("10.0.0.11:8080", f"127.0.0.1:{self.http['gw1']}")
        sample = sample.replace("10.0.0.12:8080", f"127.0.0.1:{self.http['gw2']}")
        sample = re.sub(r"/etc/(nginx|apache2|haproxy)/webrtc", str(home / "webrtc"), sample)
        file = home / self.balancer.sample
        file.write_text(self.balancer.adapt(sample, home, self.port))
        check, run = self.balancer.commands(file, home)
        subprocess.run(check, check=True, timeout=START_SECONDS)
        self._run(home / "balancer.log", *run)
        until(lambda: takes_connections(self.port), f"{self.balancer.__name__} starts")
        return self

    def _run(self, log, *command):
        with log.open("wb") as output:
            process = subprocess.Popen([str(part) for part in command], stdout=output, stderr=output)
        self.processes.append(process)
        return process

    def stop(self):
        for process in self.processes:
            process.kill() if process in self.gateways.values() else process.terminate()
        for process in self.processes:
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.folder.cleanup()


class Nginx:
    sample = "nginx.conf"

    @staticmethod
    def adapt(sample, home, port):
        folders = "".join(f"{kind}_temp_path {home}/{kind};" for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"])
        sample = sample.replace("listen 443", f"listen 127.0.0.1:{port}").replace("20000", CONNECTIONS)
        sample = sample.replace("http {", f"http {{ access_log off; {folders}", 1)
        return f"daemon off; pid {home}/pid; error_log {home}/error.log;\n{sample}"

    @staticmethod
    def commands(file, home):
        command = ["nginx", "-p", home, "-e", home / "error.log", "-c", file]
        return [*command, "-t", "-q"], command


class HAProxy:
    sample = "haproxy.cfg"

    @staticmethod
    def adapt(sample, home, port):
        return sample.replace("bind :443", f"bind 127.0.0.1:{port}").replace("maxconn 20000", f"maxconn {CONNECTIONS}")

    @staticmethod
    def commands(file, home):
        return ["haproxy", "-q", "-c", "-f", file], ["haproxy", "-f", file]


class Apache:
    sample = "apache.conf"

    @staticmethod
    def adapt(sample, home, port):
        # Those that the sample's first lines name, and what any configuration has.
        named = re.search(r"Modules: (.*?);", sample.replace("\n# ", " ")).group(1).split(", ")
        modules = "".join(
            f"LoadModule {name}_module {APACHE_MODULES}/mod_{name}.so\n" for name in ["mpm_event", "authz_core", *named]
        )
        sample = sample.replace("Listen 443", f"Listen 127.0.0.1:{port}").replace("*:443", f"127.0.0.1:{port}")
        places = f"ServerRoot {home}\nPidFile {home}/pid\nErrorLog {home}/error.log\nDefaultRuntimeDir {home}\nMutex file:{home}\n"
        return f"{modules}{places}ServerName localhost\n{sample}"

    @staticmethod
    def commands(file, home):
        command = ["apache2", "-f", file]
        return [*command, "-t"], [*command, "-DFOREGROUND"]
