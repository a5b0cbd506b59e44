# What the archive knows: paths, versions, tags and commits.
function __fish_backstory_archive
    set -l before (commandline -opc)
    backstory completions --candidates $before[2..] (commandline -ct) 2>/dev/null
end

complete -c backstory -n "__fish_seen_subcommand_from load log ls diff blame series apply rollback mv delete undelete tag undo export" -f -a "(__fish_backstory_archive)"
