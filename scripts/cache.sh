# shellcheck shell=bash
# What is made once per machine and shared by all clones: sysroot, adapter, virtual environments. Sourced.

cache=${POUNCE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pounce}
mkdir -p "$cache"

# cached DIR WHAT COMMAND…: runs COMMAND DIR unless DIR is complete. One at a time, also between clones; a run that
# breaks off leaves nothing that looks complete.
cached() {
  local dir=$1 what=$2
  shift 2
  [ -f "$dir/.complete" ] && return
  (
    flock 9
    if [ ! -f "$dir/.complete" ]; then
      echo "making $what in $dir"
      rm -rf "$dir"
      "$@" "$dir"
      touch "$dir/.complete"
    fi
  ) 9>"$dir.lock"
}
