#compdef flaggerpy
# zsh completion of flaggerpy: source <(flaggerpy completion zsh), or this file as _flaggerpy in a folder of $fpath
# The program itself knows what may come; this asks it and hands the answer to zsh.
_flaggerpy() {
    local line word hint=4
    local -a asked candidates space
    asked=("${(@)words[2,CURRENT]}")
    for line in "${(@f)$("${words[1]}" __complete "${asked[@]}" 2>/dev/null)}"; do
        if [[ "$line" == :[0-9]* ]]; then
            hint="${line#:}"
        elif [[ -n "$line" ]]; then
            word="${line%%$'\t'*}"
            word="${word//:/\\:}"
            [[ "$line" == *$'\t'* ]] && word+=":${line#*$'\t'}"
            candidates+=("$word")
        fi
    done
    ((hint & 2)) && space=(-S '')
    if ((${#candidates} == 0)); then
        ((hint & 4)) || _files
        return
    fi
    _describe -V 'flaggerpy' candidates "${space[@]}"
}
if [[ "${funcstack[1]}" == _flaggerpy ]]; then
    _flaggerpy
else
    (( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
    compdef _flaggerpy flaggerpy
fi
