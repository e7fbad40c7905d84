"""Event stores, classifier inputs and observables of every sample."""


rule event_store:
    input:
        files=lambda wildcards: noted(PLAN.inputs.files(wildcards.role)),
    output:
        PLAN.pattern("store"),
    log:
        PLAN.path("log", job="event_store-{role}"),
    benchmark:
        PLAN.path("benchmark", job="event_store-{role}")
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: LIMITS.memory(
            "event_store", wildcards.role, attempt=attempt
        ),
        runtime=lambda wildcards, attempt: LIMITS.sample_minutes(
            wildcards.role, attempt
        ),
    params:
        config=PLAN.path("config"),
        script=path_of("event_store.py"),
        depends=lambda wildcards: PLAN.fingerprints.store(wildcards.role),
    shell:
        "python {params.script:q} --config {params.config:q} --role {wildcards.role:q}"
        " > {log:q} 2>&1"


rule scaling:
    input:
        store=PLAN.store("simulation"),
    output:
        *PLAN.scalings,
    log:
        PLAN.path("log", job="scaling"),
    benchmark:
        PLAN.path("benchmark", job="scaling")
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: LIMITS.memory(
            "scaling", "simulation", attempt=attempt
        ),
        runtime=lambda wildcards, attempt: LIMITS.sample_minutes("simulation", attempt),
    params:
        config=PLAN.path("config"),
        script=path_of("scaling.py"),
        depends=PLAN.fingerprints.features,
    shell:
        "python {params.script:q} --config {params.config:q} > {log:q} 2>&1"


rule features:
    input:
        store=PLAN.pattern("store"),
        scaling=lambda wildcards: PLAN.scaling(wildcards.level),
    output:
        PLAN.pattern("features"),
    log:
        PLAN.path("log", job="features-{role}-{level}"),
    benchmark:
        PLAN.path("benchmark", job="features-{role}-{level}")
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: LIMITS.memory(
            "features", wildcards.role, attempt=attempt
        ),
        runtime=lambda wildcards, attempt: LIMITS.sample_minutes(
            wildcards.role, attempt
        ),
    params:
        config=PLAN.path("config"),
        script=path_of("features.py"),
        depends=PLAN.fingerprints.sections(
            "classifier.features", "classifier.neighbours"
        ),
    shell:
        "python {params.script:q} --config {params.config:q} --role {wildcards.role:q}"
        " --level {wildcards.level:q} > {log:q} 2>&1"


rule observables:
    input:
        store=PLAN.pattern("store"),
    output:
        directory(PLAN.pattern("observables")),
    log:
        PLAN.path("log", job="observables-{role}"),
    benchmark:
        PLAN.path("benchmark", job="observables-{role}")
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: LIMITS.memory(
            "observables", wildcards.role, attempt=attempt
        ),
        runtime=lambda wildcards, attempt: LIMITS.sample_minutes(
            wildcards.role, attempt
        ),
    params:
        config=PLAN.path("config"),
        script=path_of("observables.py"),
        depends=PLAN.fingerprints.observables,
    shell:
        "python {params.script:q} --config {params.config:q} --role {wildcards.role:q}"
        " > {log:q} 2>&1"


rule axes:
    input:
        files=PLAN.inputs.axes,
    output:
        PLAN.pattern("axes"),
    log:
        PLAN.path("log", job="axes"),
    benchmark:
        PLAN.path("benchmark", job="axes")
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: LIMITS.memory(
            "axes", "simulation", attempt=attempt
        ),
        runtime=lambda wildcards, attempt: LIMITS.sample_minutes("simulation", attempt),
    params:
        config=PLAN.path("config"),
        script=path_of("axes.py"),
        depends=PLAN.fingerprints.axes,
    shell:
        "python {params.script:q} --config {params.config:q} > {log:q} 2>&1"
