"""Final weights, histograms, tables and the report."""


rule combine:
    input:
        files=lambda wildcards: noted(
            decided_of(wildcards.method).inputs.combine(wildcards.method)
        ),
    output:
        directory(PLAN.pattern("unfolded")),
    log:
        PLAN.path("log", job="combine-{method}"),
    benchmark:
        PLAN.path("benchmark", job="combine-{method}")
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: LIMITS.memory(
            "combine", "simulation", attempt=attempt
        ),
        runtime=lambda wildcards, attempt: LIMITS.results_minutes(
            wildcards.method, attempt
        ),
    params:
        config=PLAN.path("config"),
        script=path_of("combine.py"),
        depends=lambda wildcards: PLAN.fingerprints.combine(wildcards.method),
    shell:
        "python {params.script:q} --config {params.config:q} --method {wildcards.method:q}"
        " > {log:q} 2>&1"


rule histograms:
    input:
        files=lambda wildcards: noted(
            decided_of(wildcards.method).inputs.histograms(wildcards.method)
        ),
    output:
        PLAN.pattern("histograms"),
    log:
        PLAN.path("log", job="histograms-{method}"),
    benchmark:
        PLAN.path("benchmark", job="histograms-{method}")
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
        script=path_of("histograms.py"),
        depends=lambda wildcards: PLAN.fingerprints.histograms(wildcards.method),
    shell:
        "python {params.script:q} --config {params.config:q} --method {wildcards.method:q}"
        " > {log:q} 2>&1"


rule tables:
    input:
        files=KNOWN,
        later=later_table_inputs,
    output:
        PLAN.tables,
    log:
        PLAN.path("log", job="tables"),
    benchmark:
        PLAN.path("benchmark", job="tables")
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: LIMITS.memory(
            "tables", "simulation", *PLAN.backgrounds, attempt=attempt
        ),
        runtime=lambda wildcards, attempt: LIMITS.sample_minutes("simulation", attempt),
    params:
        config=PLAN.path("config"),
        script=path_of("tables.py"),
        # The report shows the configuration, so that any change of it makes new tables.
        depends=settings.dump(PLAN.config),
    shell:
        "python {params.script:q} --config {params.config:q} > {log:q} 2>&1"


rule report:
    input:
        tables=PLAN.tables + PLAN.uncertainty_tables,
    output:
        report(
            PLAN.table("report.html"),
            caption="../report/report.rst",
            category="Unfolding",
            labels={"study": PLAN.config.study.name},
        ),
    log:
        PLAN.path("log", job="report"),
    benchmark:
        PLAN.path("benchmark", job="report")
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        config=PLAN.path("config"),
        script=path_of("report.py"),
    shell:
        "python {params.script:q} --config {params.config:q} > {log:q} 2>&1"
