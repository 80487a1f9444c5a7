"""The only door to VLMEvalKit: nothing outside this room imports ``vlmeval`` or ``torch``."""
