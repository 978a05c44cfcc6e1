"""What Helm says after an installation."""

import shutil
import tempfile
import unittest
from pathlib import Path

import yaml

from chart import CHART, ESSENTIALS, helm, over, render

# Helm shows the notes only with a cluster at hand, so a copy of the chart has them as an object.
AS_AN_OBJECT = 'notes: {{ tpl (.Files.Get "NOTES.txt") . | quote }}\n'


def notes(values=None):
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "webphone"
        shutil.copytree(CHART, copy)
        (copy / "templates/NOTES.txt").rename(copy / "NOTES.txt")
        (copy / "templates/notes.yaml").write_text(AS_AN_OBJECT)
        arguments = ["template", "page", str(copy), "--namespace", "webrtc", "--show-only", "templates/notes.yaml"]
        return yaml.safe_load(helm(*arguments, values=over(ESSENTIALS, values or {})))["notes"]


class Notes(unittest.TestCase):
    def test_they_say_where_the_page_is_and_where_signalling_goes(self):
        text = notes({"ingress": {"tls": [{"hosts": ["webphone.example.com"], "secretName": "tls"}]}})
        self.assertIn("https://webphone.example.com/", text)
        self.assertIn("the Service gateways, port 80", text)
        self.assertIn("kubectl get pods -n webrtc -l app.kubernetes.io/instance=page", text)
        self.assertNotIn("no TLS", text)

    def test_they_warn_where_there_is_no_tls(self):
        text = notes()
        self.assertIn("http://webphone.example.com/", text)
        self.assertIn("There is no TLS", text)

    def test_they_say_what_is_left_to_do_without_an_ingress(self):
        text = notes({"ingress": {"enabled": False}})
        self.assertIn("has to send /v1 to the gateways", text)
        self.assertNotIn("webphone.example.com", text)

    def test_they_name_options_without_effect(self):
        given = {
            "webphone": {
                "cfgService": "https://gws.example.com",
                "authService": "https://gauth.example.com",
                "authRedirectUri": "https://gauth.example.com",
                "webphoneService": "https://webphone.example.com",
            },
            "secrets": {"gwsClientId": "client", "env": {"gws": "hush"}},
            "k8s": {"gws": "name", "gwsSecretPath": "path"},
        }
        text = notes(given)
        for option in [*(f"webphone.{name}" for name in given["webphone"]), "secrets", "k8s"]:
            self.assertRegex(text, rf"(?m)^{option}: not (supported yet|needed);")
        self.assertNotIn("hush", text)
        self.assertNotIn("without effect", notes())
        self.assertEqual(render(given), render())


if __name__ == "__main__":
    unittest.main()
