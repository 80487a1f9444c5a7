"""A real language model of 135 million parameters as judge and extractor."""

import json
import urllib.request

import pytest

pytestmark = pytest.mark.slow


def chat(url, question, **settings):
    body = {"model": "any", "messages": [{"role": "user", "content": question}], **settings}
    request = urllib.request.Request(f"{url}/chat/completions", json.dumps(body).encode())
    with urllib.request.urlopen(request) as reply:
        return json.load(reply)


def test_the_model_is_a_real_one(small_llm_url):
    question = "What is the capital of France? Reply in one sentence."
    whole = chat(small_llm_url, question)
    assert whole["choices"][0]["message"]["content"] == "The capital of France is Paris."
    assert whole["choices"][0]["finish_reason"] == "stop"
    assert whole["usage"]["completion_tokens"] == 8
    cut = chat(small_llm_url, question, max_tokens=3)
    assert cut["choices"][0] | {"message": None} == {"index": 0, "message": None, "finish_reason": "length"}
