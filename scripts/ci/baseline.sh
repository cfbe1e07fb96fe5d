#!/usr/bin/env bash
# Runs every experiment of gate/ and keeps its numbers as the baseline of the workflow: once at the start, and again where a
# change of the numbers is meant. Run it in your repository, and commit gate/baseline.
# usage: .dubench/scripts/ci/baseline.sh        (SCALE=smoke, DUBENCH=.dubench/target/debug/dubench)
set -euo pipefail

scale=${SCALE:-smoke}
dubench=${DUBENCH:-.dubench/target/debug/dubench}
for experiment in gate/*.yaml; do
  name=$(basename "$experiment" .yaml)
  "$dubench" run "$experiment" --scale "$scale"
  mkdir -p "gate/baseline/$name"
  cp "results/$name/$scale/metrics.parquet" "results/$name/$scale/metrics.parquet.sha256" "gate/baseline/$name/"
done
