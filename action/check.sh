#!/usr/bin/env bash
# Run the check; write the summary, the annotations and the outputs. Ends well whatever it found:
# finish.sh ends with its code, when the comment is written and the counts are kept.
#
# POWERML_CONFIG  configuration, or its folder
# POWERML_MODELS  names of models, one a line; may be empty
set -euo pipefail

folder="${RUNNER_TEMP:-/tmp}/powerml-check"
rm -rf "$folder"
mkdir -p "$folder"

arguments=(--config "${POWERML_CONFIG:-.}")
for suffix in json md sarif xml github; do
    arguments+=(--output "$folder/check.$suffix")
done
names=()
while IFS= read -r name || [ -n "$name" ]; do
    [ -z "$name" ] || names+=("$name")
done <<<"${POWERML_MODELS:-}"

code=0
powerml check "${arguments[@]}" -- ${names[@]+"${names[@]}"} 2>&1 | tee "$folder/log.txt" ||
    code=${PIPESTATUS[0]}

case $code in
    0) state=kept ;;
    1) state=failed ;;
    3) state=exceeded ;;
    4) state=incomparable ;;
    *) state=invalid ;;
esac
if [ ! -f "$folder/check.md" ]; then
    # It ended before it had a record: its last line says why.
    message=$(grep '^powerml: error:' "$folder/log.txt" | tail -n 1 || true)
    {
        printf '### powerML: nothing was checked\n\n'
        # Indented, so that it is code, whatever it holds.
        printf '    %s\n' "${message:-powerml check ended with the code $code}"
    } >"$folder/check.md"
    escaped=${message//'%'/%25}
    printf '::error title=powerml::%s\n' "$escaped"
fi
[ ! -f "$folder/check.github" ] || cat "$folder/check.github"
cat "$folder/check.md" >>"$GITHUB_STEP_SUMMARY"
{
    printf 'state=%s\n' "$state"
    printf 'exit-code=%s\n' "$code"
    printf 'folder=%s\n' "$folder"
} >>"$GITHUB_OUTPUT"
