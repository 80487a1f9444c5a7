"""What the installed kit, which imports all that it has at once, lacks, and how to mend it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from unittest.mock import MagicMock

from medqbench_vlmeval.errors import MissingDependency

# Of another name than their modules.
_PACKAGES = {"cv2": "opencv-python", "clip": "openai-clip", "skimage": "scikit-image", "sklearn": "scikit-learn"}
_REMEDIES = {
    "libGL": "'apt-get install libgl1' or 'pip install --force-reinstall opencv-python-headless' mends it",
    "torchvision": "torch and torchvision have to be of one release from one index: install both anew",
    "AutoModelForVision2Seq": "this kit needs an older transformers: pip install 'transformers<5'",
    "vlmeval.inference_api": "'medqbench run' needs ms-vlmeval 0.0.20 or newer: pip install -U ms-vlmeval",
}


def explained(error: BaseException) -> tuple[str, str]:
    """The name of what an import lacks, and a phrase that says why and what to do."""
    top = error.name.partition(".")[0] if isinstance(error, ModuleNotFoundError) and error.name else "vlmeval"
    if top != "vlmeval":
        return top, f"is not installed: pip install {_PACKAGES.get(top, top)}"
    remedy = next((how for word, how in _REMEDIES.items() if word in str(error)), "install the kit anew")
    return "import", f"fails with {type(error).__name__} ({str(error).strip().partition(chr(10))[0]:.200}); {remedy}"


@contextmanager
def importing_kit() -> Iterator[None]:
    """Raise MissingDependency, which says why and what to do, where the kit cannot be imported in the block."""
    try:
        yield
    except (ImportError, OSError, RuntimeError, AttributeError, TypeError) as error:
        what = " ".join(explained(error))
        raise MissingDependency(f"VLMEvalKit cannot be used: its {what} ('medqbench doctor' says all).") from error


def import_problems() -> list[tuple[str, str]]:
    """What stops the kit's import (see :func:`explained`), found by a process of its own, in some ten seconds."""
    try:
        done = subprocess.run([sys.executable, "-m", __name__], capture_output=True, timeout=180, check=False)  # noqa: S603
        return [(name, why) for name, why in json.loads(done.stdout.splitlines()[-1])]
    except (subprocess.TimeoutExpired, IndexError, ValueError):
        return [("import", "ends Python or takes over 180 s; see 'python -c \"import vlmeval.config\"'")]


def _found() -> list[tuple[str, str]]:
    found: dict[tuple[str, str], None] = {}
    while True:
        try:
            for module in ("vlmeval.dataset", "vlmeval.config", "vlmeval.inference_api"):
                import_module(module)
            return list(found)
        except Exception as error:  # noqa: BLE001 - what is imported is foreign
            name = error.name if isinstance(error, ModuleNotFoundError) else None
            if not name or name in sys.modules or name.startswith("vlmeval"):
                return list(found) or [explained(error)]  # a stand-in may have caused it
            found[explained(error)] = None
            sys.modules[name] = MagicMock(name=name)  # to find what else is absent
            for module in [one for one in sys.modules if one.partition(".")[0] == "vlmeval"]:
                del sys.modules[module]


if __name__ == "__main__":
    print("\n" + json.dumps(_found()))
