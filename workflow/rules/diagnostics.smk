"""Second classifiers: can a new network tell the reweighted simulation from its target?"""


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
