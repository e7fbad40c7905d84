"""Covariances, tests, pulls and coverage, from the histograms of all variants."""


rule uncertainties:
    input:
        files=noted(PLAN.inputs.uncertainties()),
    output:
        PLAN.uncertainty_tables,
    log:
        PLAN.path("log", job="uncertainties"),
    benchmark:
        PLAN.path("benchmark", job="uncertainties")
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: LIMITS.memory(
            "uncertainties", *PLAN.evaluated, attempt=attempt
        ),
        runtime=lambda wildcards, attempt: LIMITS.sample_minutes("simulation", attempt),
    params:
        config=PLAN.path("config"),
        script=path_of("uncertainties.py"),
        depends=PLAN.fingerprints.sections(
            "uncertainties", "observables", "combine", "study", "samples"
        ),
    shell:
        "python {params.script:q} --config {params.config:q} > {log:q} 2>&1"
