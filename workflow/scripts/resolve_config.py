"""Write the resolved configuration of the study, which all other scripts read."""

from omniflow.files import write_text

write_text(snakemake.params.text, snakemake.output[0])  # noqa: F821  (given by Snakemake)
