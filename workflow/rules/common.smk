"""What rules ask the plan about the job that wildcards name."""


def block(wildcards):
    """Return the training job that the wildcards name."""
    group = PLAN.group(wildcards.chain, int(wildcards.pass_), wildcards.group)
    blocks = PLAN.blocks(group, int(wildcards.iteration), int(wildcards.step))
    return blocks[int(wildcards.block)]


def stage_logits(wildcards):
    """Return the logits of all blocks of a group of lanes in one step."""
    group = PLAN.group(wildcards.chain, int(wildcards.pass_), wildcards.group)
    blocks = PLAN.blocks(group, int(wildcards.iteration), int(wildcards.step))
    return [PLAN.logits(block) for block in blocks]


def stage_start(wildcards):
    """Return the weights that a step starts from."""
    group = PLAN.group(wildcards.chain, int(wildcards.pass_), wildcards.group)
    previous = PLAN.previous_weights(
        group, int(wildcards.iteration), int(wildcards.step)
    )
    return [] if previous is None else previous
