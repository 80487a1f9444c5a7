import ssl
import urllib.error
import urllib.request

import pytest
import trustme

import medqbench_vlmeval
from medqbench_vlmeval.benchmark import ALL_DATASET_NAMES
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


def test_registering_again_adds_nothing(kit):
    from vlmeval.config import supported_VLM

    before = len(kit.DATASET_CLASSES), len(kit.SUPPORTED_DATASETS), len(kit.__all__), len(supported_VLM)
    medqbench_vlmeval.register()
    assert (len(kit.DATASET_CLASSES), len(kit.SUPPORTED_DATASETS), len(kit.__all__), len(supported_VLM)) == before


def test_aliases_are_the_zoos_own_entries(kit):
    from vlmeval.config import supported_VLM

    assert supported_VLM["Qwen2.5-VL-7B"] is supported_VLM["Qwen2.5-VL-7B-Instruct"]
    assert supported_VLM["Qwen2.5-VL-72B"] is supported_VLM["Qwen2.5-VL-72B-Instruct"]
    for name in ("GPT-5", "GPT-4o", "Grok-4", "Gemini-2.5-Pro", "Claude-4-Sonnet", "InternVL3-38B", "InternVL3-8B"):
        assert name in supported_VLM
    # Not in this kit's zoo: an alias would promise what cannot run.
    assert "MedGemma-27B" not in supported_VLM


def test_the_process_checks_certificates_after_the_kit_was_imported(kit):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)
    with JudgeServer(tls=tls) as server, pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        urllib.request.urlopen(server.base_url)
