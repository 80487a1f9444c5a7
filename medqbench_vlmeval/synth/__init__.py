"""Makes MedQ-style data: source pictures, degradations simulated by physics, questions and reference texts.

The source pictures need the extra ``synth`` (scikit-image, pydicom, nilearn, nibabel); nothing is imported before
it is used, and the embedded set itself loads without any of them.
"""

from medqbench_vlmeval.synth.embedded_set import write_mini

__all__ = ["write_mini"]
