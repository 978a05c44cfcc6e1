"""Values that are refused, and what is said then."""

import unittest

import yaml

from chart import CHART, Refused, over, render


def at(path, value):
    """Nested dictionaries with `value` at `a.b.c`."""
    for key in reversed(path.split(".")):
        value = {key: value}
    return value


class Refusals(unittest.TestCase):
    def refused(self, values, essentials=True):
        with self.assertRaises(Refused) as caught:
            render(values, essentials=essentials)
        return str(caught.exception)

    def test_what_is_mandatory(self):
        text = self.refused({}, essentials=False)
        for option in ["image.repository", "ingress.host", "webphone.webrtcService"]:
            self.assertIn(f"{option}:", text)

    def test_options_that_are_called_otherwise_are_named_with_advice(self):
        otherwise = {
            "ingress.hosts": [{"host": "webphone.example.com", "paths": [{"path": "/"}]}],
            "serviceAccount": {"create": False, "name": "default"},
            "rbac": {"create": False},
        }
        values = {}
        for path, value in otherwise.items():
            values = over(values, at(path, value))
        text = self.refused(values)
        for path in otherwise:
            self.assertRegex(text, rf"(?m)^{path}: \w+")

    def test_the_gateways_are_named_by_their_service(self):
        for name in ["https://webrtc.example.com", "webrtc.example.com", "Gateways", "-gateways", "a" * 64]:
            self.assertIn("webphone.webrtcService: name the Service", self.refused(at("webphone.webrtcService", name)))

    def test_misspelt_options(self):
        defaults = yaml.safe_load((CHART / "values.yaml").read_text())
        sections = [name for name, value in defaults.items() if isinstance(value, dict) and value]
        # Those two are Kubernetes' own, and the API server knows what may stand there.
        closed = [name for name in sections if name not in ("podSecurityContext", "securityContext")]
        values = at("replicaCounts", 1)
        for section in closed:
            values = over(values, at(f"{section}.misspelt", "x"))
        text = self.refused(values)
        self.assertIn("replicaCounts", text)
        for section in closed:
            self.assertRegex(text, rf"{section}: Additional property misspelt is not allowed")

    def test_values_of_the_wrong_type(self):
        wrong = {
            "image.repository": 1,
            "image.tag": 1.0,
            "image.pullPolicy": "Sometimes",
            "image.imagePullSecrets": "one",
            "replicaCount": "three",
            "webphone.webrtcService": 1,
            "webphone.webrtcServicePort": "http",
            "service.enabled": "yes",
            "service.type": "Cluster",
            "service.port": 70000,
            "ingress.enabled": "true",
            "ingress.host": "https://webphone.example.com",
            "ingress.ingressClassName": 1,
            "ingress.annotations": {"a": True},
            "ingress.tls": {"secretName": "x"},
            "resources": {"requests": "50m"},
            "podAnnotations": {"port": 10052},
            "podSecurityContext": [],
            "securityContext": "none",
            "nodeSelector": ["general"],
            "tolerations": {"operator": "Exists"},
            "affinity": [],
            "priorityClassName": 1,
            "serviceAccountName": "",
            "dnsPolicy": "ClusterLast",
            "dnsConfig": {"options": [{"name": "ndots", "value": 3}]},
            "autoscaling.enabled": 1,
            "autoscaling.minReplicas": 0,
            "autoscaling.maxReplicas": "2",
            "autoscaling.targetCPUUtilizationPercentage": "80%",
            "autoscaling.targetMemoryUtilizationPercentage": 0,
            "monitoring.enabled": "no",
            "monitoring.scrapeInterval": 30,
        }
        defaults = yaml.safe_load((CHART / "values.yaml").read_text())
        self.assertEqual(set(paths_of(defaults)), set(wrong), "an option of values.yaml isn't tried here")
        values = {}
        for path, value in wrong.items():
            values = over(values, at(path, value))
        text = self.refused(values)
        for path in wrong:
            self.assertRegex(text, rf"(?m)^- {path}\b", path)

    def test_combinations_that_cannot_work(self):
        self.assertIn("service.enabled", self.refused({"service": {"enabled": False}}))
        few = {"enabled": True, "minReplicas": 3, "maxReplicas": 2}
        self.assertIn("autoscaling.maxReplicas", self.refused({"autoscaling": few}))
        no_target = {"enabled": True, "targetCPUUtilizationPercentage": None}
        self.assertIn("targetCPUUtilizationPercentage", self.refused({"autoscaling": no_target}))


# Sections that are one option: what stands inside is Kubernetes'.
WHOLE = {"resources", "podSecurityContext", "securityContext"}


def paths_of(values, before=""):
    for key, value in values.items():
        path = f"{before}{key}"
        if isinstance(value, dict) and value and path not in WHOLE:
            yield from paths_of(value, f"{path}.")
        else:
            yield path


if __name__ == "__main__":
    unittest.main()
