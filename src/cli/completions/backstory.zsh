# What the archive knows: paths, versions, tags and commits.
_backstory() {
    local -a before=("${(@)words[2,CURRENT-1]}") found folders others
    local word="$PREFIX" ret=1
    _backstory_static "$@" && ret=0
    [[ "$word" == -* ]] && return ret
    found=("${(@f)$(backstory completions --candidates "${(@)before}" "$word" 2>/dev/null)}")
    folders=("${(@M)found:#*/}")
    others=("${(@)${(@)found:#*/}:#}")
    (( $#folders )) && compadd -S '' -- "${(@)folders}" && ret=0
    (( $#others )) && compadd -- "${(@)others}" && ret=0
    return ret
}
