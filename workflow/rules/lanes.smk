"""Rounds of methods whose lanes are added until a target is met: how many there have to be."""


checkpoint lanes:
    input:
        files=lambda wildcards: noted(
            PLAN.inputs.round(
                wildcards.method, int(wildcards.round), lanes_in(**wildcards)
            )
        ),
    output:
        PLAN.pattern("round"),
    log:
        PLAN.path("log", job="lanes-{method}-{round}"),
    benchmark:
        PLAN.path("benchmark", job="lanes-{method}-{round}")
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: LIMITS.memory(
            "histograms", "simulation", attempt=attempt
        ),
        runtime=lambda wildcards, attempt: LIMITS.results_minutes(
            wildcards.method, attempt
        ),
    params:
        config=PLAN.path("config"),
        script=path_of("lanes.py"),
        depends=lambda wildcards: [
            PLAN.fingerprints.rounds(wildcards.method),
            PLAN.fingerprints.histograms(wildcards.method),
        ],
    shell:
        "python {params.script:q} --config {params.config:q} --method {wildcards.method:q}"
        " --round {wildcards.round:q} > {log:q} 2>&1"
