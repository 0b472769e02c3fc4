# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# source P/cann/set_env.sh: what vendor build files and programs look for. Sourced, so it must not exit.
if [ -n "${BASH_SOURCE:-}" ]; then
  ASCEND_HOME_PATH=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
elif [ -n "${ZSH_VERSION:-}" ]; then
  # shellcheck disable=SC2296
  ASCEND_HOME_PATH=$(cd "$(dirname "${(%):-%x}")" && pwd)
fi
if [ -z "${ASCEND_HOME_PATH:-}" ]; then
  echo "set_env.sh: set ASCEND_HOME_PATH to the folder of this file first (this shell cannot tell)" >&2
else
  export ASCEND_HOME_PATH
  export ASCEND_TOOLKIT_HOME=$ASCEND_HOME_PATH
  export ASCEND_OPP_PATH=$ASCEND_HOME_PATH/opp
  export ATB_HOME_PATH=$ASCEND_HOME_PATH
  export LD_LIBRARY_PATH=$ASCEND_HOME_PATH/lib64${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
fi
