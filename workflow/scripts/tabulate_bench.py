"""Estimands of the cases of a bench, as a table and a figure."""

from chainofsteps import datasets
from chainofsteps.figures.bench import bench_summary
from chainofsteps.refusal import at_the_door
from chainofsteps.statistics.bench import ALL, bench_table

with at_the_door(snakemake.log[0]):
    read = [datasets.read(path, "bench_features") for path in snakemake.input.features]
    features = {dataset.attrs["experiment"]: dataset for dataset in read}
    interventions = datasets.read(snakemake.input.interventions[0], "bench_interventions")
    orders = datasets.read(snakemake.input.orders[0], "bench_orders")
    table = bench_table(features, interventions, orders, **snakemake.params.statistics)
    means = table[(table["case"] == ALL) & table["value"].notna()]
    bench_summary(features, means).savefig(snakemake.output.figure)
    table.to_csv(snakemake.output.table, index=False, float_format="%.6g")
