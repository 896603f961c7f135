#!/usr/bin/env bash
# End with the code of the check.
#
# POWERML_EXIT_CODE  the code
set -euo pipefail

exit "${POWERML_EXIT_CODE:?the check has not run}"
