"""Judge the claims: verdicts.csv, by_family.csv, metrics.json, variance.csv, and what is in them."""

import json
from pathlib import Path

from chainofsteps import datasets
from chainofsteps.configuration import load_yaml
from chainofsteps.refusal import at_the_door
from chainofsteps.statistics.dictionary import dictionary
from chainofsteps.statistics.registration import BLOCKS, NONE, registered_ids
from chainofsteps.statistics.variance import variance_table
from chainofsteps.statistics.verdicts import by_family, judge, metrics

with at_the_door(snakemake.log[0]):
    given, params = snakemake.input, snakemake.params
    kinds = [
        *((path, "features") for path in given.features),
        *((path, "score_controls") for path in given.scores),
        *((path, params.kinds[Path(path).stem]) for path in given.interventions),
    ]
    registered = None
    if given.registrations:
        registrations = dict(zip(BLOCKS, given.registrations, strict=True))
        drawn_under = {block: set() for block in BLOCKS}
        for path in given.cases:
            block = "interventions" if "interventions" in Path(path).parts else "cases"
            drawn_under[block].add(datasets.read(path, "cases").attrs.get("registration", NONE))
        registered = registered_ids(registrations, params.hashes, drawn_under)
    claims = load_yaml(given.claims)["claims"]
    read = [datasets.read(path, kind) for path, kind in kinds]
    table = judge(claims, read, **params.statistics, registered=registered, tests=params.tests)
    table.to_csv(snakemake.output.verdicts, index=False, float_format="%.6g")
    families = by_family(claims, read, **params.statistics)
    families.to_csv(snakemake.output.by_family, index=False, float_format="%.6g")
    kinds_of_grids = [
        claim["settings"]["kind"] for claim in claims if claim.get("estimand") == "step_minus_frame_share"
    ]
    variance = variance_table(read, next(iter(kinds_of_grids), None), seed=params.statistics["seed"])
    variance.to_csv(snakemake.output.variance, index=False, float_format="%.6g")
    dictionary().to_csv(snakemake.output.dictionary, index=False)
    Path(snakemake.output.metrics).write_text(json.dumps(metrics(table), indent=1, sort_keys=True) + "\n")
