"""Makes MedQ-style data: source pictures, degradations simulated by physics, questions and reference texts. Reading
pictures needs the extra ``synth`` (scikit-image, pydicom, nibabel); nothing is imported before it is used."""
