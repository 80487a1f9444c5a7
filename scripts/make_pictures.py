"""Make the pictures of the README and the documentation from a real run: the two baselines on the embedded sets.

    python scripts/make_pictures.py [FOLDER]      (default: docs/pictures)

Takes the kit for the run, Chromium for the page, and LibreOffice with pdftoppm for the workbook: about a minute. Every
picture shows what the commands printed here wrote on this machine; nothing in them is drawn by hand.
"""

from __future__ import annotations

import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "docs" / "pictures"
LARGEST = 200_000  # bytes a picture
MODEL, DATA = "MedQ-Classical", "MedQBench_Perception_mini"
RUN = ["run", "--data", DATA, "MedQBench_Reasoning_mini", "--model", MODEL, "MedQ-Chance", "--judge", "rules"]
REPORT = ["report", "outputs", "--out", "report"]
COLUMNS = 100


def main() -> None:
    to = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    to.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        said = in_terminal(RUN, work)
        in_terminal(REPORT, work)
        terminal(said, to / "terminal.svg")
        shutil.copyfile(work / "report" / "figures" / "question_type_perception.png", to / "figure.png")
        workbook(work / "report" / f"{MODEL}_{DATA}_report.xlsx", to / "workbook.png", work)
        page(work / "report" / "report.html", to / "page.png")
    for path in sorted(to.iterdir()):
        fewer_colours(path)
        size = path.stat().st_size
        print(f"{path}  {size / 1000:.0f} kB")
        if size > LARGEST:
            sys.exit(f"{path} has more than {LARGEST // 1000} kB.")


def in_terminal(words: list[str], folder: Path) -> str:
    """What a command says, colours and all, to somebody in front of a terminal of COLUMNS columns."""
    print("medqbench", *words)
    ours, theirs = pty.openpty()
    size = {"COLUMNS": str(COLUMNS), "LINES": "50", "TERM": "xterm-256color", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "medqbench_vlmeval", *words]
    errors = folder / "errors.txt"
    with errors.open("w") as log:
        done = subprocess.Popen(command, stdout=theirs, stderr=log, cwd=folder, env={**os.environ, **size})
    os.close(theirs)
    said = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # on Linux the other end's last close is an error
            break
        if not part:
            break
        said += part
    if done.wait():
        sys.exit(f"medqbench {' '.join(words)} ended with {done.returncode}: {errors.read_text()[-2000:]}")
    return said.decode().replace("\r\n", "\n")


def terminal(said: str, to: Path) -> None:
    """The first result of a run as its terminal shows it, in fonts that every browser has."""
    from rich._export_format import CONSOLE_SVG_FORMAT
    from rich.console import Console
    from rich.text import Text

    shown = Text.from_ansi(said)
    start = shown.plain.index(f"{MODEL} on {DATA}")
    end = shown.plain.index(f"{MODEL} on MedQBench_Reasoning_mini")
    console = Console(record=True, width=COLUMNS, file=Path(os.devnull).open("w"), force_terminal=True)  # noqa: SIM115
    head = f"$ python run.py --data {DATA} MedQBench_Reasoning_mini \\\n      --model {MODEL} MedQ-Chance --judge rules"
    console.print(Text(head, style="bold"), Text("..."), sep="\n")
    console.print(Text("\n").join(line for line in shown[start:end].split("\n")), end="")
    form = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.S).replace("Fira Code, ", "")
    to.write_text(console.export_svg(title="medqbench", code_format=form, unique_id="terminal"), encoding="utf-8")


def workbook(path: Path, to: Path, work: Path) -> None:
    """The first sheet as LibreOffice prints it, without the paper's margins."""
    from PIL import Image, ImageChops

    profile = f"-env:UserInstallation={(work / 'profile').as_uri()}"
    office = ["soffice", "--headless", profile, "--convert-to", "pdf", "--outdir", str(work), str(path)]
    subprocess.run(office, check=True, capture_output=True, timeout=300)
    paper = work / f"{path.stem}.pdf"
    subprocess.run(
        ["pdftoppm", "-r", "110", "-l", "1", "-singlefile", "-png", str(paper), str(work / "sheet")], check=True
    )
    with Image.open(work / "sheet.png") as whole:
        sheet = whole.convert("RGB")
    left, top, right, bottom = ImageChops.difference(sheet, Image.new("RGB", sheet.size, "white")).getbbox()
    sheet.crop((max(0, left - 12), max(0, top - 12), right + 12, bottom + 12)).save(to)


def page(path: Path, to: Path) -> None:
    """A pair of CT slices at 4:1 beside the list of samples."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        shot = browser.new_page(viewport={"width": 1200, "height": 680}, color_scheme="light")
        shot.goto(path.as_uri())
        shot.select_option("#run", label=f"{MODEL} · MedQBench_Reasoning_mini")
        run = shot.evaluate("new URLSearchParams(location.hash.slice(1)).get('run')")
        shot.evaluate("to => { location.hash = to }", f"view=samples&run={run}&sample=Comparative:mini-c001&q=c00")
        shot.wait_for_selector(".zoom-pane a >> nth=1")
        shot.focus(".zoom-stage")
        shot.keyboard.press("4")
        shot.wait_for_function("document.querySelector('.zoom-said').textContent === '4:1'")
        shot.evaluate("document.activeElement.blur()")
        shot.screenshot(path=to)
        browser.close()


def fewer_colours(path: Path) -> None:
    """A PNG of screens and plots with a palette takes a third of the bytes and looks the same."""
    from PIL import Image

    if path.suffix == ".png":
        with Image.open(path) as picture:
            picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main()
