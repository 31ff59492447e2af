#!/usr/bin/env bash
# docs/policies.md's table: 10,000 simulated bisections a row. Half a minute.
set -euo pipefail
cd "$(dirname "$0")/../.."
make -s build/tests/bench/policies
exec build/tests/bench/policies
