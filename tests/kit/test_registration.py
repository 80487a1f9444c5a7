import ssl
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
import trustme

import medqbench_vlmeval
from medqbench_vlmeval.benchmark import ALL_DATASET_NAMES
from medqbench_vlmeval.data.download import HubFile, fetch
from medqbench_vlmeval.errors import RunFailed
from medqbench_vlmeval.models import PUBLISHED_MODELS
from tests.data.files_hub import FIRST, FilesHub, Repository, Store, close_session, point_at
from tests.servers import JudgeServer


def test_all_names_are_known_to_the_kit(kit):
    assert set(ALL_DATASET_NAMES) <= set(kit.SUPPORTED_DATASETS)
    assert kit.DATASET_TYPE("MedQBench_Perception_mini") == "MCQ"
    assert kit.DATASET_TYPE("MedQBench_Reasoning") == "VQA"
    assert kit.DATASET_MODALITY("MedQBench_Reasoning_Comparative") == "IMAGE"
    for name in ("MedQBenchPerception", "MedQBenchNoReference", "MedQBenchComparative", "MedQBenchReasoning"):
        assert getattr(kit, name).__name__ == name
    # The kit's own classes stay.
    assert "MedqbenchMCQ_dev" in kit.SUPPORTED_DATASETS
    assert kit.MedqbenchMCQDataset.__name__ == "MedqbenchMCQDataset"


def test_what_a_patched_kit_calls_while_it_is_imported_imports_no_kit_itself():
    """Else the kit would be called back by a half imported module."""
    code = "import sys, medqbench_vlmeval.kit.registration; assert 'vlmeval' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_registering_again_adds_nothing(kit):
    from vlmeval.config import supported_VLM

    before = len(kit.DATASET_CLASSES), len(kit.SUPPORTED_DATASETS), len(supported_VLM)
    medqbench_vlmeval.register()
    assert (len(kit.DATASET_CLASSES), len(kit.SUPPORTED_DATASETS), len(supported_VLM)) == before


def test_aliases_are_the_zoos_own_entries(kit):
    from vlmeval.config import supported_VLM

    assert supported_VLM["Qwen2.5-VL-7B"] is supported_VLM["Qwen2.5-VL-7B-Instruct"]
    assert supported_VLM["Qwen2.5-VL-72B"] is supported_VLM["Qwen2.5-VL-72B-Instruct"]
    assert set(PUBLISHED_MODELS) <= set(supported_VLM)


def test_the_process_checks_certificates_after_the_kit_was_imported(kit):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)
    with JudgeServer(tls=tls) as server, pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        urllib.request.urlopen(server.base_url)


def test_a_hub_that_is_not_trusted_is_not_downloaded_from(kit, monkeypatch, tmp_path):
    tls, authority = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), trustme.CA()
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    file = HubFile("a/b", "c.tsv")
    with Store() as store, FilesHub(store, tls) as hub:
        hub.repositories["a/b"] = Repository({FIRST: {"c.tsv": b"1"}})
        point_at(hub.address, tmp_path / "cache", monkeypatch)
        with pytest.raises(
            RunFailed, match=r"CERTIFICATE_VERIFY_FAILED.*name your site's certificates in SSL_CERT_FILE"
        ):
            fetch(file, "main")
        assert hub.asked == []
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        close_session()
        assert fetch(file, "main")[0].read_bytes() == b"1"
