"""Pre-training, the trainings of every step, and the weights that they lead to."""

STAGE = "{chain}-pass-{pass_}-{group}-iteration-{iteration}-step-{step}"


rule pretrain:
    input:
        files=PLAN.inputs.pretraining,
    output:
        directory(PLAN.pattern("pretrained")),
    log:
        PLAN.path("log", job="pretrain-{model}"),
    benchmark:
        PLAN.path("benchmark", job="pretrain-{model}")
    conda:
        ENVIRONMENT
    threads: EXECUTION.ranks * EXECUTION.threads
    resources:
        **TRAINING,
        mem_mb=lambda wildcards, attempt: LIMITS.training_memory(attempt),
        runtime=lambda wildcards, attempt: LIMITS.training_minutes(1, 0, attempt),
        launcher=launcher,
    params:
        config=PLAN.path("config"),
        script=path_of("pretrain.py"),
        depends=PLAN.fingerprints.training(),
    shell:
        "exec {resources.launcher} {params.script:q} --config {params.config:q}"
        " --model {wildcards.model:q} > {log:q} 2>&1"


rule train:
    input:
        files=lambda wildcards: noted(PLAN.inputs.block(block(wildcards))),
    output:
        logits=temp(PLAN.pattern("logits")),
        history=PLAN.pattern("history"),
        networks=directory(PLAN.pattern("networks")),
    log:
        PLAN.path("log", job=f"train-{STAGE}-block-{{block}}"),
    benchmark:
        PLAN.path("benchmark", job=f"train-{STAGE}-block-{{block}}")
    conda:
        ENVIRONMENT
    threads: EXECUTION.ranks * EXECUTION.threads
    resources:
        **TRAINING,
        mem_mb=lambda wildcards, attempt: LIMITS.training_memory(attempt),
        runtime=lambda wildcards, attempt: LIMITS.block_minutes(
            block(wildcards), attempt
        ),
        launcher=launcher,
    params:
        config=PLAN.path("config"),
        script=path_of("train.py"),
        depends=lambda wildcards: PLAN.fingerprints.training(block(wildcards).networks),
    shell:
        "exec {resources.launcher} {params.script:q} --config {params.config:q}"
        " --chain {wildcards.chain:q} --pass {wildcards.pass_:q} --group {wildcards.group:q}"
        " --iteration {wildcards.iteration:q} --step {wildcards.step:q}"
        " --block {wildcards.block:q} > {log:q} 2>&1"


rule aggregate:
    input:
        files=stage_inputs,
    output:
        PLAN.pattern("weights"),
    log:
        PLAN.path("log", job=f"aggregate-{STAGE}"),
    benchmark:
        PLAN.path("benchmark", job=f"aggregate-{STAGE}")
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: LIMITS.memory(
            "aggregate", "simulation", attempt=attempt
        ),
        runtime=lambda wildcards, attempt: LIMITS.sample_minutes("simulation", attempt),
    params:
        config=PLAN.path("config"),
        script=path_of("aggregate.py"),
        depends=PLAN.fingerprints.training(),
    shell:
        "python {params.script:q} --config {params.config:q} --chain {wildcards.chain:q}"
        " --pass {wildcards.pass_:q} --group {wildcards.group:q}"
        " --iteration {wildcards.iteration:q} --step {wildcards.step:q} > {log:q} 2>&1"
