"""Packaging. Tool settings live in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
VERSION = re.search(
    r'^__version__ = "([^"]+)"', (HERE / "medqbench_vlmeval" / "__init__.py").read_text(encoding="utf-8"), re.M
).group(1)


class BuildPy(build_py):
    """The kit's patches lie beside the package, where people look for them, and go into it in a wheel."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib) / "medqbench_vlmeval" / "kit" / "patches"
            target.mkdir(parents=True, exist_ok=True)
            for patch in sorted((HERE / "patches").glob("*.patch")):
                self.copy_file(str(patch), str(target / patch.name))


SYNTH = ["scikit-image>=0.22", "finufft>=2.3", "pydicom>=3.0.1", "nibabel>=5"]
WANDB = ["wandb>=0.18"]
MLFLOW = ["mlflow-skinny>=2.15"]
DATASETS = ["datasets>=3.0"]
TEST = [
    "pytest>=8",
    "hypothesis>=6.100",
    "uvicorn>=0.30",
    "fastapi>=0.110",
    "ruff>=0.8",
    "mypy>=1.11",
    "pandas-stubs",
    "openpyxl>=3.1",
    "types-openpyxl",
    "playwright>=1.40",
    "jsonschema>=4.18",
    "trustme>=1.0",
    "build>=1.2",
    "check-jsonschema>=0.30",
    "pre-commit>=3.5",
    "setuptools>=68",
    "markdown-it-py>=3",
    "nbclient>=0.10",
    "nbformat>=5.9",
    "ipykernel>=6.29",
    # With it the kit's transformers read the weights of the small judge in tests/small_llm.py.
    "gguf>=0.10",
    # Its brain template is in the embedded set and in tests of volumes.
    "nilearn>=0.10",
    *SYNTH,
    *WANDB,
    *MLFLOW,
    *DATASETS,
]
DOCS = ["mkdocs>=1.6", "mkdocs-material>=9.5", "mkdocstrings[python]>=0.26"]

setup(
    name="medqbench-vlmeval",
    version=VERSION,
    description="MedQ-Bench (medical image quality assessment) for VLMEvalKit: right, complete and fast.",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="The medqbench_vlmeval authors",
    license_expression="Apache-2.0",
    # NOTICE has the licences of the embedded images.
    license_files=["LICENSE", "NOTICE"],
    keywords=["medical image quality assessment", "multimodal language models", "evaluation", "VLMEvalKit"],
    python_requires=">=3.10",
    packages=find_packages(include=["medqbench_vlmeval", "medqbench_vlmeval.*"]),
    cmdclass={"build_py": BuildPy},
    include_package_data=False,
    package_data={
        "medqbench_vlmeval": ["py.typed"],
        "medqbench_vlmeval.answers": ["*.json"],
        "medqbench_vlmeval.baselines": ["*.json", "faults.txt"],
        "medqbench_vlmeval.cli": ["run_help.txt"],
        "medqbench_vlmeval.data": ["*.json", "mini/*", "mini/images/*", "published/*"],
        "medqbench_vlmeval.judge": ["*.json", "templates/*"],
        "medqbench_vlmeval.prompts": ["templates.json"],
        "medqbench_vlmeval.report": ["words.json", "templates/*.j2"],
        "medqbench_vlmeval.report.figures": ["medqbench.mplstyle"],
        "medqbench_vlmeval.report.page": ["assets/*"],
        "medqbench_vlmeval.runs": ["methods.json"],
        "medqbench_vlmeval.workflows": ["*.md.j2", "suite.yaml"],
        "medqbench_vlmeval.synth": ["*.json"],
    },
    install_requires=[
        "typer>=0.15.4",
        "platformdirs>=4",
        "python-dotenv>=1.0",
        "tiktoken>=0.7",
        "rich>=13",
        "numpy>=1.24",
        "scipy>=1.10",
        "pandas>=2.0",
        "pillow>=11",
        "XlsxWriter>=3.2.5",
        "filelock>=3.12",
        "pyarrow>=16",
        "pybase64>=1.3",
        "aiohttp>=3.10",
        "certifi",
        "openai>=1.56.1",
        "pydantic>=2.7",
        "json_repair>=0.54",
        "validators>=0.35",
        "confusable-homoglyphs>=3.3",
        "huggingface_hub>=0.26",
        "jinja2>=3.1",
        "submitit>=1.5.2",
        "ruamel.yaml>=0.18",
        "matplotlib>=3.8",
        "starlette>=0.37.2",
        "uvicorn>=0.30",
    ],
    extras_require={
        "kit": ["ms-vlmeval>=0.0.20"],
        "synth": SYNTH,
        # gdcm decodes JPEG lossless and JPEG-LS, which pydicom leaves to others.
        "dicom": ["pydicom>=3.0.1", "python-gdcm>=3.0"],
        "wandb": WANDB,
        "mlflow": MLFLOW,
        "datasets": DATASETS,
        "test": [*TEST, *DOCS],
        "docs": DOCS,
    },
    entry_points={
        "console_scripts": ["medqbench = medqbench_vlmeval.__main__:main"],
        "vlmeval.datasets": ["medqbench = medqbench_vlmeval.kit.registration:register_datasets"],
        "vlmeval.models": ["medqbench = medqbench_vlmeval.kit.registration:register_models"],
    },
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Medical Science Apps.",
        "Typing :: Typed",
    ],
)
