"""The catalogue: which degradations exist, for which modality, with which parameters at which severity.

Parameters are physical and carry their unit in the function that takes them (see its docstring). 'mild' is meant
to be seen by an expert and to leave the picture usable, 'severe' to make it useless for diagnosis.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from medqbench_vlmeval.synth import kspace, optics, scope, slide, tomography
from medqbench_vlmeval.synth.picture import Picture

GRADES = ("mild", "severe")


@dataclass(frozen=True)
class Degradation:
    """One fault of one modality.

    ``name`` is what an option or a question calls it, ``scope`` whether photographs in general can have it or
    only this modality. ``parameters`` maps 'mild' and 'severe' to the keyword arguments of ``apply``.
    """

    key: str
    modality: str
    name: str
    scope: str
    apply: Callable[..., Picture]
    parameters: Mapping[str, Mapping[str, float]]

    def degrade(self, picture: Picture, grade: str, rng: np.random.Generator, scale: float = 1.0) -> Picture:
        """``picture`` at the severity ``grade`` ('mild' or 'severe').

        ``scale`` moves the first parameter by that factor: calibration uses it to see other strengths than the
        ones of the embedded set.
        """
        parameters = dict(self.parameters[grade])
        first = next(iter(parameters))
        parameters[first] *= scale
        return self.apply(picture, rng, **parameters)


def _row(
    key: str,
    modality: str,
    name: str,
    apply: Callable[..., Picture],
    mild: Mapping[str, float],
    severe: Mapping[str, float],
    general: bool = False,
) -> Degradation:
    where = "general" if general else "modality-specific"
    return Degradation(key, modality, name, where, apply, {"mild": mild, "severe": severe})


DEGRADATIONS: dict[str, Degradation] = {
    row.key: row
    for row in (
        _row("ct-noise", "CT", "low-dose noise", tomography.low_dose_noise,
             {"photons": 4.0e4}, {"photons": 4.0e3}, general=True),
        _row("ct-sparse", "CT", "sparse-view streaks", tomography.sparse_views, {"views": 130.0}, {"views": 45.0}),
        _row("ct-limited", "CT", "limited-angle distortion", tomography.limited_angle,
             {"missing_deg": 14.0}, {"missing_deg": 60.0}),
        _row("ct-ring", "CT", "ring artifacts", tomography.rings,
             {"gain_sd": 0.012, "channels": 0.10}, {"gain_sd": 0.06, "channels": 0.15}),
        _row("ct-metal", "CT", "metal artifacts", tomography.metal,
             {"radius_mm": 2.0, "implants": 1.0}, {"radius_mm": 7.0, "implants": 2.0}),
        _row("ct-motion", "CT", "patient motion", tomography.patient_motion,
             {"shift_mm": 1.2, "cycles": 2.5}, {"shift_mm": 5.0, "cycles": 2.5}),
        _row("mr-motion", "MRI", "motion ghosting", kspace.motion,
             {"shift_px": 0.9, "period_lines": 7.0}, {"shift_px": 3.0, "period_lines": 7.0}),
        _row("mr-alias", "MRI", "undersampling aliasing", kspace.undersampling,
             {"centre": 0.22, "factor": 2.0}, {"centre": 0.06, "factor": 3.0}),
        _row("mr-bias", "MRI", "intensity inhomogeneity (bias field)", kspace.bias_field,
             {"strength": 0.55}, {"strength": 1.9}),
        _row("mr-noise", "MRI", "random noise", kspace.rician_noise, {"sigma": 0.04}, {"sigma": 0.15}, general=True),
        _row("mr-spike", "MRI", "spike (herringbone) artifact", kspace.spikes,
             {"amplitude": 0.03, "count": 2.0}, {"amplitude": 0.14, "count": 3.0}),
        _row("mr-lowres", "MRI", "blur from low resolution", kspace.low_resolution,
             {"kept": 0.34}, {"kept": 0.16}, general=True),
        _row("hp-defocus", "Histopathology", "out-of-focus blur", optics.defocus,
             {"radius_px": 1.6}, {"radius_px": 5.5}, general=True),
        _row("hp-bubble", "Histopathology", "air bubbles", slide.air_bubbles,
             {"radius": 0.16, "count": 1.0}, {"radius": 0.42, "count": 4.0}),
        _row("hp-fold", "Histopathology", "tissue folding", slide.tissue_fold,
             {"width": 0.05, "folds": 1.0}, {"width": 0.16, "folds": 3.0}),
        _row("hp-faded", "Histopathology", "weak staining", slide.faded_stain, {"kept": 0.55}, {"kept": 0.16}),
        _row("hp-debris", "Histopathology", "dark debris", slide.debris,
             {"radius": 0.08, "specks": 5.0}, {"radius": 0.20, "specks": 22.0}),
        _row("hp-jpeg", "Histopathology", "compression artifacts", optics.jpeg_compression,
             {"quality": 18.0}, {"quality": 4.0}, general=True),
        _row("en-motion", "Endoscopy", "motion blur", optics.motion_blur,
             {"length_px": 6.0}, {"length_px": 26.0}, general=True),
        _row("en-light", "Endoscopy", "uneven illumination", optics.uneven_illumination,
             {"loss": 0.60}, {"loss": 0.96}, general=True),
        _row("en-glare", "Endoscopy", "specular reflections", scope.specular_reflection,
             {"coverage": 0.015}, {"coverage": 0.14}),
        _row("en-over", "Endoscopy", "overexposure", optics.overexposure, {"stops": 1.0}, {"stops": 2.6}, general=True),
        _row("en-bubble", "Endoscopy", "bubbles", scope.bubbles,
             {"radius": 0.06, "count": 14.0}, {"radius": 0.13, "count": 90.0}),
        _row("en-haze", "Endoscopy", "low contrast", optics.haze, {"veil": 0.42}, {"veil": 0.80}, general=True),
        _row("fu-defocus", "Fundus", "out-of-focus blur", optics.defocus,
             {"radius_px": 1.7}, {"radius_px": 6.0}, general=True),
        _row("fu-light", "Fundus", "uneven illumination", optics.uneven_illumination,
             {"loss": 0.60}, {"loss": 0.96}, general=True),
        _row("fu-haze", "Fundus", "low contrast", optics.haze, {"veil": 0.42}, {"veil": 0.80}, general=True),
        _row("fu-colour", "Fundus", "color distortion", optics.colour_cast,
             {"stops": 0.75}, {"stops": 2.4}, general=True),
        _row("fu-noise", "Fundus", "random noise", optics.sensor_noise,
             {"electrons": 500.0}, {"electrons": 45.0}, general=True),
        _row("fu-over", "Fundus", "overexposure", optics.overexposure, {"stops": 1.0}, {"stops": 2.5}, general=True),
    )
}  # fmt: skip


def of_modality(modality: str) -> tuple[Degradation, ...]:
    """The catalogue's rows for one modality, in the catalogue's order."""
    return tuple(row for row in DEGRADATIONS.values() if row.modality == modality)
