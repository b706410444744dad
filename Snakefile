include: "workflow/Snakefile"


# Snakemake takes no default target from an included file: without this, a bare `snakemake` would do nothing.
rule replicate:
    default_target: True
    input:
        rules.all.input,
