#!/usr/bin/env bash
# All comparisons in one run, on cores that have nothing else to do; what they print, as Markdown.
#
#   benchmarks/all.sh PYTHON [PEERS [H1_CODE]]
#
# PYTHON has omniflow, PEERS the other codes (requirements.txt), H1_CODE is a checkout of the H1 code.
set -euo pipefail
python=$1 peers=${2:-} h1_code=${3:-}
folder=$(dirname "$0")

# A script with its options, which the headline shows, and after -- those that name places.
part() {
    local script=$1 shown=()
    shift
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        shown+=("$1")
        shift
    done
    printf '\n## %s\n\n' "$script${shown[*]:+ ${shown[*]}}"
    "$python" "$folder/$script" "${shown[@]}" "${@:2}"
}

processor=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)
echo "# All comparisons in one run"
printf '\n%s; %s cores of %s.\n' "$(date +%F)" "$(nproc)" "$processor"
part bench.py --rounds 2 --seconds 3 --epochs 1 -- ${peers:+--peers "$peers"} \
    ${h1_code:+--h1-code "$h1_code"}
part tables.py --rounds 3 --seconds 1 -- ${peers:+--peers "$peers"}
[ -z "$peers" ] || part small_study.py --rounds 1 -- --peers "$peers"
part scaling.py --rounds 1 --
