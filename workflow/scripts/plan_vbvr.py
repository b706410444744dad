"""Say what the bench will take with a model, before it is fetched: network evaluations, videos, hours, disk, memory."""

import sys

from chainofsteps.experiments.bench_plan import describe, plan_bench
from chainofsteps.refusal import at_the_door

terminal = sys.stderr  # all else goes to the log
with at_the_door(snakemake.log[0]):
    model, bench = snakemake.params.model, snakemake.params.bench
    plan = plan_bench(model, bench).round(3)
    plan.to_csv(snakemake.output[0])
    for file in (sys.stdout, terminal):
        print(plan.to_string(), *describe(model, bench), sep="\n", file=file)
