#!/usr/bin/env bash
# Tries a running server against its own OpenAPI document: every check, every phase.
#
#   tests/support/schemathesis.sh URL TOKEN [USER,USER,… [GROUP,GROUP,…]] [-- more arguments]
#
# USER and GROUP are names of that server's, so that requests get past the look-up of names; the first user is the
# one who asks. Without them it is tried with names of nobody. It ends with 77 if schemathesis cannot be fetched, and with
# another status than 0 if anything is found.
set -euo pipefail
version=4.32.5
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
url="${1:?the address of a listener}"
token="${2:?a token}"
shift 2
export YIZHAN_USERS="" YIZHAN_GROUPS=""
if (($#)) && [[ "$1" != "--" ]]; then YIZHAN_USERS="$1" && shift; fi
if (($#)) && [[ "$1" != "--" ]]; then YIZHAN_GROUPS="$1" && shift; fi
if (($#)); then shift; fi

venv="${YIZHAN_SCHEMATHESIS:-$here/../../target/schemathesis-$version}"
if [[ ! -x "$venv/bin/schemathesis" ]]; then
    # Both listeners may be tried at once: whoever comes second waits.
    mkdir -p "$(dirname "$venv")"
    exec 9> "$venv.lock" && flock 9
    if [[ ! -x "$venv/bin/schemathesis" ]]; then
        fetched=1
        python3 -m venv "$venv" \
            && "$venv/bin/pip" install --quiet --disable-pip-version-check "schemathesis==$version" || fetched=
        if [[ -z "$fetched" ]]; then
            rm -rf "$venv"
            echo "schemathesis $version cannot be fetched: it needs python3 with venv, and PyPI" >&2
            exit 77
        fi
    fi
    exec 9>&-
fi

# Nothing of a run is kept beside the sources.
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
export SCHEMATHESIS_HOOKS=schemathesis_names PYTHONPATH="$here"
"$venv/bin/schemathesis" run "$url/v1/openapi.json" \
    --header "Authorization: Bearer $token" \
    --checks all \
    --max-examples 20 \
    --generation-database none \
    --continue-on-failure \
    --warnings off \
    --no-color \
    "$@"
