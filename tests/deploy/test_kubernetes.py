"""The manifests of deploy/kubernetes: valid by the schemas of Kubernetes, and as safe as they say."""

import itertools
import re
import shutil
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from rl_eval.production.config import load_config

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "kubernetes"
KUSTOMIZATION = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
DOCUMENTS = [
    document for file in KUSTOMIZATION["resources"] for document in yaml.safe_load_all((FOLDER / file).read_text())
]
OWNER = "/etc/rl-eval-owner"
DEPLOYMENTS = {d["metadata"]["name"]: d for d in DOCUMENTS if d["kind"] == "Deployment"}


def of_kind(kind):
    return {document["metadata"]["name"]: document for document in DOCUMENTS if document["kind"] == kind}


def container(name):
    (only,) = DEPLOYMENTS[name]["spec"]["template"]["spec"]["containers"]
    return only


def selects(selector, labels):
    """Whether a label selector fits, matchLabels and matchExpressions with `In`."""
    plain = selector.get("matchLabels", {}).items() <= labels.items()
    return plain and all(labels.get(e["key"]) in e["values"] for e in selector.get("matchExpressions", ()))


@pytest.mark.parametrize("version", ["1.30", "1.34"])
def test_every_manifest_fits_the_schema_of_kubernetes(version):
    for document in DOCUMENTS:
        kubernetes_validate.validate(document, version, strict=True)


def test_the_schema_refuses_a_key_that_does_not_exist():
    wrong = {**DEPLOYMENTS["server"], "spec": {**DEPLOYMENTS["server"]["spec"], "replica": 2}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, "1.34", strict=True)


def test_every_file_is_a_resource():
    files = {path.name for path in FOLDER.glob("*.yaml")} - {"kustomization.yaml", "production.yaml"}
    assert files == set(KUSTOMIZATION["resources"])


@pytest.mark.parametrize("name", sorted(DEPLOYMENTS))
def test_a_process_runs_without_rights_within_limits_and_with_probes(name):
    pod, process = DEPLOYMENTS[name]["spec"]["template"]["spec"], container(name)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert process["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    for part in ("requests", "limits"):
        assert {"cpu", "memory", "ephemeral-storage"} <= process["resources"][part].keys()
    assert {"startupProbe", "readinessProbe", "livenessProbe"} <= process.keys()
    mounted = {mount["mountPath"] for mount in process["volumeMounts"]}
    assert mounted - {OWNER} == {"/etc/rl-eval", "/data", "/tmp"}
    assert {mount["name"] for mount in process["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}


def test_servers_collectors_and_trainers_are_two():
    assert of_kind("HorizontalPodAutoscaler")["server"]["spec"]["minReplicas"] == 2
    assert "replicas" not in DEPLOYMENTS["server"]["spec"]  # an apply would undo what the autoscaler chose
    assert {name: DEPLOYMENTS[name]["spec"]["replicas"] for name in ("collector", "trainer")} == {
        "collector": 2,
        "trainer": 2,
    }


def test_secrets_come_from_a_secret_alone():
    for name in DEPLOYMENTS:
        for variable in container(name)["env"]:
            if variable["name"] == "RL_EVAL_ALIVE":
                continue
            assert variable["valueFrom"].keys() == {"secretKeyRef"}
            assert variable["valueFrom"]["secretKeyRef"]["name"] == "rl-eval"
    assert not of_kind("Secret")  # the operator makes it


def test_the_owners_key_is_a_mounted_secret_where_the_config_names_it():
    key_file = Path(load_config(FOLDER / "production.yaml").registry.key_file)
    assert str(key_file.parent) == OWNER
    for name in DEPLOYMENTS.keys() - {"collector"}:  # which opens no registry
        pod = DEPLOYMENTS[name]["spec"]["template"]["spec"]
        (mount,) = (mount for mount in container(name)["volumeMounts"] if mount["mountPath"] == OWNER)
        (volume,) = (volume["secret"] for volume in pod["volumes"] if volume["name"] == mount["name"])
        assert mount["readOnly"] is True
        assert [item["path"] for item in volume["items"]] == [key_file.name]
        assert volume["defaultMode"] == 0o440
        assert pod["securityContext"]["fsGroup"] == pod["securityContext"]["runAsGroup"]


def test_the_first_champion_is_registered_in_a_process_that_has_registry_key_and_config():
    text = (FOLDER / "kustomization.yaml").read_text()
    names = set(re.findall(r"kubectl -n (\S+) exec", text))
    assert names == {KUSTOMIZATION["namespace"]}
    (process,) = set(re.findall(r"exec (?:-i )?deploy/(\w+) --", text))
    (config, run) = re.search(r"rl-eval production register (\S+) (\S+)$", text, re.MULTILINE).groups()
    assert set(re.findall(r"/data/\w+", text)) == {run}
    mounts = {mount["mountPath"]: mount.get("readOnly", False) for mount in container(process)["volumeMounts"]}
    assert (mounts["/data"], mounts[OWNER]) == (False, True)
    assert str(Path(config).parent) in mounts
    assert Path(config).name in KUSTOMIZATION["configMapGenerator"][0]["files"]


def test_selectors_find_their_pods():
    for name, deployment in DEPLOYMENTS.items():
        assert selects(deployment["spec"]["selector"], deployment["spec"]["template"]["metadata"]["labels"]), name
    for name, service in of_kind("Service").items():
        pods = DEPLOYMENTS[name]["spec"]["template"]
        assert service["spec"]["selector"].items() <= pods["metadata"]["labels"].items()
        names = {port["name"] for port in container(name)["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= names
    scaled = of_kind("HorizontalPodAutoscaler")["server"]["spec"]["scaleTargetRef"]
    assert (scaled["kind"], scaled["name"]) == ("Deployment", "server")
    for name, budget in of_kind("PodDisruptionBudget").items():
        assert selects(budget["spec"]["selector"], DEPLOYMENTS[name]["spec"]["template"]["metadata"]["labels"])


def test_the_network_lets_through_what_is_listed_and_nothing_else():
    policies = of_kind("NetworkPolicy")
    deny = policies.pop("deny-all")["spec"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    labels = {name: d["spec"]["template"]["metadata"]["labels"] for name, d in DEPLOYMENTS.items()}
    opened = {
        (name, direction)
        for name, pod in labels.items()
        for policy, direction in itertools.product(policies.values(), ("Ingress", "Egress"))
        if direction in policy["spec"]["policyTypes"] and selects(policy["spec"]["podSelector"], pod)
    }
    assert {name for name, direction in opened if direction == "Ingress"} == {"server", "watch"}
    assert {name for name, direction in opened if direction == "Egress"} == set(DEPLOYMENTS)
    for policy in policies.values():
        for rule in [*policy["spec"].get("ingress", ()), *policy["spec"].get("egress", ())]:
            assert rule["ports"]  # never every port
            assert rule.get("from") or rule.get("to")  # never everyone


def test_the_config_of_the_containers_is_valid_and_fits_the_manifests():
    config = load_config(FOLDER / "production.yaml")
    assert (config.serve.host, config.folder) == ("0.0.0.0", "/data")
    assert config.serve.port == container("server")["ports"][0]["containerPort"]
    compose_config = load_config(FOLDER.parent / "production.yaml")
    differing = {"directory", "registry"}  # compose has no owner's key
    assert compose_config.model_dump(exclude=differing) == config.model_dump(exclude=differing)


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_kustomize_builds_it():
    built = subprocess.run(["kubectl", "kustomize", FOLDER], capture_output=True, text=True, timeout=60, check=True)
    documents = [document for document in yaml.safe_load_all(built.stdout) if document]
    maps = [d["metadata"]["name"] for d in documents if d["kind"] == "ConfigMap"]
    assert len(documents) == len(DOCUMENTS) + 1
    assert len(maps) == 1
    for document in documents:
        kubernetes_validate.validate(document, "1.34", strict=True)
        if document["kind"] == "Deployment":
            pod = document["spec"]["template"]["spec"]
            assert re.fullmatch(r"rl-eval:[\w.]+", pod["containers"][0]["image"])
            (config,) = (volume["configMap"]["name"] for volume in pod["volumes"] if "configMap" in volume)
            assert config == maps[0]
