# What the archive knows: paths, versions, tags and commits.
_backstory_with_archive() {
    _backstory "$@"
    # Bash takes a word apart at @ and :, which are part of a REV.
    local line="${COMP_LINE:0:COMP_POINT}" word="${COMP_WORDS[COMP_CWORD]}" cut
    local cur="${line##*[[:space:]]}"
    [[ $cur == -* ]] && return
    case "$word" in
        @ | :) cut="$cur" ;;
        *) cut="${cur%"$word"}" ;;
    esac
    local -a before found=()
    local candidate folders=1
    for candidate in "${COMPREPLY[@]}"; do
        [[ $candidate == -* ]] || found+=("$candidate")
    done
    COMPREPLY=("${found[@]}") found=()
    read -r -a before <<<"${line%"$cur"}"
    while IFS= read -r candidate; do
        [[ $candidate == */ ]] || folders=
        found+=("$(printf '%q' "${candidate#"$cut"}")")
    done < <(backstory completions --candidates "${before[@]:1}" "$cur" 2>/dev/null)
    ((${#found[@]})) || return
    COMPREPLY+=("${found[@]}")
    [[ -n $folders ]] && compopt -o nospace 2>/dev/null
    return 0
}

complete -F _backstory_with_archive -o nosort -o bashdefault -o default backstory
