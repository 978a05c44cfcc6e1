"""Whether Kubernetes would take the objects, in every version from 1.28 on."""

import unittest

from kubernetes_validate import validate

from chart import CHART, ESSENTIALS, KUBERNETES, helm, over, render

EVERYTHING = {
    "image": {"tag": "1.2.3", "imagePullSecrets": ["registry"]},
    "ingress": {
        "ingressClassName": "nginx",
        "annotations": {"nginx.ingress.kubernetes.io/affinity": "cookie"},
        "tls": [{"hosts": ["webphone.example.com"], "secretName": "webphone-tls"}],
    },
    "resources": {"limits": {"cpu": "500m", "memory": "1024Mi"}},
    "podAnnotations": {"owner": "1051"},
    "nodeSelector": {"pool": "general"},
    "tolerations": [{"key": "pool", "operator": "Exists", "effect": "NoSchedule"}],
    "affinity": {
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [{
                "weight": 100,
                "podAffinityTerm": {
                    "labelSelector": {"matchLabels": {"app.kubernetes.io/name": "webphone"}},
                    "topologyKey": "topology.kubernetes.io/zone",
                },
            }]
        }
    },
    "priorityClassName": "high",
    "dnsPolicy": "ClusterFirst",
    "dnsConfig": {"options": [{"name": "ndots", "value": "3"}]},
    "autoscaling": {"enabled": True, "targetMemoryUtilizationPercentage": 70},
    "monitoring": {"enabled": True},
}


class Kubernetes(unittest.TestCase):
    def test_the_objects_are_valid(self):
        self.assertGreaterEqual(len(KUBERNETES), 10)
        for values in ({}, EVERYTHING):
            objects = render(values)
            # A custom resource, of which Kubernetes itself has no schema.
            objects.pop("PodMonitor", None)
            for version in KUBERNETES:
                for kind, document in objects.items():
                    with self.subTest(version=version, kind=kind):
                        validate(document, version, strict=True)

    def test_what_the_operator_takes_as_a_pod_monitor(self):
        monitor = render(EVERYTHING)["PodMonitor"]
        self.assertEqual(monitor["apiVersion"], "monitoring.coreos.com/v1")
        self.assertEqual(set(monitor["spec"]), {"selector", "podMetricsEndpoints"})
        (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
        self.assertEqual(set(endpoint), {"port", "path", "interval", "metricRelabelings"})

    def test_helm_finds_nothing_to_complain_about(self):
        text = helm("lint", str(CHART), "--strict", values=over(ESSENTIALS, EVERYTHING))
        self.assertIn("1 chart(s) linted, 0 chart(s) failed", text)


if __name__ == "__main__":
    unittest.main()
