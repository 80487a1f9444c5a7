"""Names of models that attack whatever shows them, and two that differ in their last letters alone."""

HOSTILE = (
    '<script>alert("x")</script> $\\alpha_1$ & %s {x}_^~#| `id="figure"`',
    "书生·万象 \u202eRTL\u0000\u001b[31m \ud800",
    "[a](http://evil.example/x) **b** _c_ --- '''",
    "=1+1\n---\nmodel-index: 3",
    "hospital/qwen2_5-vl-7b-instruct-medq-sft-lora-r64-alpha128-checkpoint-12500",
    "hospital/qwen2_5-vl-7b-instruct-medq-sft-lora-r64-alpha128-checkpoint-13000",
)
