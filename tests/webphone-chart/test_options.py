"""What each option does to the objects."""

import tomllib
import unittest

import yaml

from chart import CHART, ESSENTIALS, ROOT, container, pod, render


def paths(values, before=()):
    """Every option of a values file, as a path."""
    if not isinstance(values, dict) or not values:
        return {before}
    return set().union(*(paths(value, (*before, key)) for key, value in values.items()))


class Defaults(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.objects = render()

    def test_which_objects_there_are(self):
        self.assertEqual(set(self.objects), {"ConfigMap", "Deployment", "Service", "Ingress"})

    def test_the_program_gets_the_file_that_the_chart_makes(self):
        (option, file) = container(self.objects)["args"]
        (mount,) = container(self.objects)["volumeMounts"]
        (volume,) = pod(self.objects)["volumes"]
        self.assertEqual(option, "--config")
        self.assertEqual(file, f"{mount['mountPath']}/{next(iter(self.objects['ConfigMap']['data']))}")
        self.assertEqual(mount["name"], volume["name"])
        self.assertEqual(volume["configMap"]["name"], self.objects["ConfigMap"]["metadata"]["name"])

    def test_the_program_knows_every_setting_in_that_file(self):
        file = tomllib.loads(self.objects["ConfigMap"]["data"]["gateway.toml"])
        known = tomllib.loads((ROOT / "gateway-bin/src/config/defaults.toml").read_text())
        self.assertLessEqual(paths(file), paths(known))

    def test_nobody_can_sign_in_or_call_at_the_pods(self):
        file = tomllib.loads(self.objects["ConfigMap"]["data"]["gateway.toml"])
        self.assertNotIn("users", file)
        self.assertEqual(file["limits"], {"sign_ins": 0, "calls": 0})
        self.assertEqual(file["turn"]["listen"], [])
        self.assertEqual(file["http"]["trusted_proxies"], ["127.0.0.1/32"])
        for address in [*file["sip"]["listen"], *file["media"]["listen"], file["metrics"]["listen"]]:
            self.assertTrue(address.startswith("127.0.0.1"), address)

    def test_probes_ask_the_port_that_the_program_listens_on(self):
        file = tomllib.loads(self.objects["ConfigMap"]["data"]["gateway.toml"])
        (port,) = container(self.objects)["ports"]
        self.assertTrue(file["http"]["listen"].endswith(f":{port['containerPort']}"))
        for probe, path in [("livenessProbe", "/isAlive"), ("readinessProbe", "/ready")]:
            self.assertEqual(container(self.objects)[probe]["httpGet"], {"path": path, "port": port["name"]})

    def test_service_and_ingress_lead_to_the_pods(self):
        service = self.objects["Service"]
        labels = self.objects["Deployment"]["spec"]["template"]["metadata"]["labels"]
        self.assertLessEqual(service["spec"]["selector"].items(), labels.items())
        self.assertEqual(service["spec"]["selector"], self.objects["Deployment"]["spec"]["selector"]["matchLabels"])
        (port,) = service["spec"]["ports"]
        self.assertEqual(port["targetPort"], container(self.objects)["ports"][0]["name"])
        (rule,) = self.objects["Ingress"]["spec"]["rules"]
        backends = {path["path"]: path["backend"]["service"] for path in rule["http"]["paths"]}
        self.assertEqual(backends, {
            "/v1": {"name": "gateways", "port": {"number": 80}},
            "/": {"name": service["metadata"]["name"], "port": {"name": port["name"]}},
        })

    def test_the_pods_may_do_nothing(self):
        self.assertIs(pod(self.objects)["automountServiceAccountToken"], False)
        self.assertIs(pod(self.objects)["securityContext"]["runAsNonRoot"], True)
        self.assertEqual(container(self.objects)["securityContext"], {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        })

    def test_the_version_is_the_projects(self):
        version = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
        self.assertTrue(container(self.objects)["image"].endswith(f":{version}"))

    def test_the_template_of_values_explains_every_option_and_changes_none(self):
        defaults = yaml.safe_load((CHART / "values.yaml").read_text())
        template = yaml.safe_load((CHART / "values-template.yaml").read_text())
        self.assertEqual(template, defaults)
        lines = (CHART / "values-template.yaml").read_text().splitlines()
        self.assertGreater(sum("#" in line for line in lines), len(paths(defaults)), "hardly anything is explained")


class Options(unittest.TestCase):
    def test_image(self):
        objects = render({"image": {"tag": "1.2.3", "pullPolicy": "Always", "imagePullSecrets": ["one", "two"]}})
        self.assertEqual(container(objects)["image"], f"{ESSENTIALS['image']['repository']}:1.2.3")
        self.assertEqual(container(objects)["imagePullPolicy"], "Always")
        self.assertEqual(pod(objects)["imagePullSecrets"], [{"name": "one"}, {"name": "two"}])

    def test_replica_count(self):
        self.assertEqual(render({"replicaCount": 3})["Deployment"]["spec"]["replicas"], 3)

    def test_where_signalling_goes(self):
        objects = render({"webphone": {"webrtcService": "webrtc-gateway-service-green", "webrtcServicePort": 8080}})
        backend = objects["Ingress"]["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
        self.assertEqual(backend, {"name": "webrtc-gateway-service-green", "port": {"number": 8080}})

    def test_service(self):
        service = render({"service": {"type": "NodePort", "port": 8081}})["Service"]["spec"]
        self.assertEqual((service["type"], service["ports"][0]["port"]), ("NodePort", 8081))
        objects = render({"service": {"enabled": False}, "ingress": {"enabled": False}})
        self.assertEqual(set(objects), {"ConfigMap", "Deployment"})

    def test_ingress(self):
        tls = [{"hosts": ["phone.example.org"], "secretName": "phone-tls"}]
        ingress = {"host": "phone.example.org", "ingressClassName": "nginx", "annotations": {"a/b": "true"}, "tls": tls}
        rendered = render({"ingress": ingress})["Ingress"]
        self.assertEqual(rendered["metadata"]["annotations"], {"a/b": "true"})
        self.assertEqual(rendered["spec"]["ingressClassName"], "nginx")
        self.assertEqual(rendered["spec"]["tls"], tls)
        self.assertEqual(rendered["spec"]["rules"][0]["host"], "phone.example.org")
        self.assertNotIn("Ingress", render({"ingress": {"enabled": False, "host": ""}, "webphone": {"webrtcService": ""}}))

    def test_what_pods_are_given(self):
        values = {
            "podSecurityContext": {"runAsUser": 1000},
            "nodeSelector": {"pool": "general"},
            "tolerations": [{"key": "pool", "operator": "Exists", "effect": "NoSchedule"}],
            "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
            "priorityClassName": "high",
            "serviceAccountName": "phone",
            "dnsPolicy": "ClusterFirst",
            "dnsConfig": {"options": [{"name": "ndots", "value": "3"}]},
        }
        spec = pod(render(values))
        self.assertEqual(spec["securityContext"]["runAsUser"], 1000)
        for option in values.keys() - {"podSecurityContext"}:
            self.assertEqual(spec[option], values[option], option)

    def test_annotations_of_pods_stand_beside_the_charts_own(self):
        template = render({"podAnnotations": {"owner": "1051"}})["Deployment"]["spec"]["template"]
        self.assertEqual(template["metadata"]["annotations"]["owner"], "1051")
        self.assertIn("checksum/config", template["metadata"]["annotations"])

    def test_what_the_container_is_given(self):
        resources = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}
        objects = render({"resources": resources, "securityContext": {"readOnlyRootFilesystem": False}})
        self.assertEqual(container(objects)["resources"], resources)
        self.assertIs(container(objects)["securityContext"]["readOnlyRootFilesystem"], False)

    def test_user_ids_can_be_left_to_the_platform(self):
        none = {"runAsUser": None, "runAsGroup": None, "fsGroup": None}
        self.assertEqual(set(pod(render({"podSecurityContext": none}))["securityContext"]), {"runAsNonRoot", "seccompProfile"})

    def test_autoscaling(self):
        scaling = {"enabled": True, "minReplicas": 2, "maxReplicas": 5, "targetMemoryUtilizationPercentage": 70}
        objects = render({"autoscaling": scaling})
        self.assertNotIn("replicas", objects["Deployment"]["spec"])
        spec = objects["HorizontalPodAutoscaler"]["spec"]
        self.assertEqual((spec["minReplicas"], spec["maxReplicas"]), (2, 5))
        targets = {m["resource"]["name"]: m["resource"]["target"]["averageUtilization"] for m in spec["metrics"]}
        self.assertEqual(targets, {"cpu": 80, "memory": 70})
        self.assertEqual(spec["scaleTargetRef"]["name"], objects["Deployment"]["metadata"]["name"])

    def test_monitoring(self):
        objects = render({"monitoring": {"enabled": True, "scrapeInterval": "15s"}})
        monitor = objects["PodMonitor"]["spec"]
        (endpoint,) = monitor["podMetricsEndpoints"]
        self.assertEqual((endpoint["path"], endpoint["interval"]), ("/metrics", "15s"))
        ports = {port["name"]: port["containerPort"] for port in container(objects)["ports"]}
        listen = tomllib.loads(objects["ConfigMap"]["data"]["gateway.toml"])["metrics"]["listen"]
        self.assertEqual(listen, f"0.0.0.0:{ports[endpoint['port']]}")
        labels = objects["Deployment"]["spec"]["template"]["metadata"]["labels"]
        self.assertLessEqual(monitor["selector"]["matchLabels"].items(), labels.items())
        self.assertEqual(endpoint["metricRelabelings"][0]["action"], "drop")

    def test_another_configuration_brings_other_pods(self):
        def checksum(objects):
            return objects["Deployment"]["spec"]["template"]["metadata"]["annotations"]["checksum/config"]

        self.assertNotEqual(checksum(render()), checksum(render({"monitoring": {"enabled": True}})))
        self.assertEqual(checksum(render()), checksum(render({"replicaCount": 2})))

    def test_names_follow_the_release(self):
        for kind, document in render(release="other").items():
            self.assertEqual(document["metadata"]["name"], "other", kind)


if __name__ == "__main__":
    unittest.main()
