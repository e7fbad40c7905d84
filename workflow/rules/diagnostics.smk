"""Networks that judge: second classifiers, the oracle, and tests of the detector response."""


rule second_classifier:
    input:
        files=lambda wildcards: PLAN.inputs.second(wildcards.subject),
    output:
        PLAN.pattern("second"),
    log:
        PLAN.path("log", job="second_classifier-{subject}"),
    benchmark:
        PLAN.path("benchmark", job="second_classifier-{subject}")
    conda:
        ENVIRONMENT
    threads: EXECUTION.ranks * EXECUTION.threads
    resources:
        **TRAINING,
        mem_mb=lambda wildcards, attempt: LIMITS.training_memory(attempt),
        runtime=lambda wildcards, attempt: LIMITS.second_minutes(attempt),
        launcher=launcher,
    params:
        config=PLAN.path("config"),
        script=path_of("second_classifier.py"),
        depends=[
            PLAN.fingerprints.training(),
            PLAN.fingerprints.sections("observables.region"),
        ],
    shell:
        "exec {resources.launcher} {params.script:q} --config {params.config:q}"
        " --subject {wildcards.subject:q} > {log:q} 2>&1"


rule oracle:
    input:
        files=PLAN.inputs.oracle,
    output:
        directory(PLAN.pattern("oracle")),
    log:
        PLAN.path("log", job="oracle"),
    benchmark:
        PLAN.path("benchmark", job="oracle")
    conda:
        ENVIRONMENT
    threads: EXECUTION.ranks * EXECUTION.threads
    resources:
        **TRAINING,
        mem_mb=lambda wildcards, attempt: LIMITS.training_memory(attempt),
        runtime=lambda wildcards, attempt: LIMITS.oracle_minutes(attempt),
        launcher=launcher,
    params:
        config=PLAN.path("config"),
        script=path_of("oracle.py"),
        depends=PLAN.fingerprints.training(),
    shell:
        "exec {resources.launcher} {params.script:q} --config {params.config:q} > {log:q} 2>&1"


rule response:
    input:
        files=lambda wildcards: PLAN.inputs.response(wildcards.role),
    output:
        PLAN.pattern("response"),
    log:
        PLAN.path("log", job="response-{role}"),
    benchmark:
        PLAN.path("benchmark", job="response-{role}")
    conda:
        ENVIRONMENT
    threads: EXECUTION.threads
    resources:
        mem_mb=lambda wildcards, attempt: LIMITS.training_memory(attempt),
        runtime=lambda wildcards, attempt: LIMITS.response_minutes(
            wildcards.role, attempt
        ),
    params:
        config=PLAN.path("config"),
        script=path_of("response.py"),
        depends=lambda wildcards: PLAN.fingerprints.response(wildcards.role),
    shell:
        "python {params.script:q} --config {params.config:q} --role {wildcards.role:q}"
        " > {log:q} 2>&1"
