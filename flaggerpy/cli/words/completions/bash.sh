# bash completion of flaggerpy: source <(flaggerpy completion bash)
# The program itself knows what may come; this asks it and hands the answer to bash. No other package is needed.
__flaggerpy_complete() {
    local program="${COMP_WORDS[0]}" line word about hint=4 width=0 i
    local -a words=() out=() told=()
    COMPREPLY=()
    # bash splits words at = and : too; they are put together again
    for ((i = 1; i <= COMP_CWORD; i++)); do
        word="${COMP_WORDS[i]}"
        if ((i > 1)) && [[ "$word" == [=:]* || "${COMP_WORDS[i - 1]}" == *[=:] ]]; then
            words[${#words[@]} - 1]+="$word"
        else
            words+=("$word")
        fi
    done
    local here="${words[${#words[@]} - 1]}"
    while IFS= read -r line; do
        if [[ "$line" == :[0-9]* ]]; then
            hint="${line#:}"
        elif [[ -n "$line" ]]; then
            out+=("$line")
        fi
    done < <("$program" __complete "${words[@]}" 2>/dev/null)
    # what bash takes for the word is only what stands behind the last = or :
    local cut=""
    case "$here" in
        *[=:]*) cut="${here%"${here##*[=:]}"}" ;;
    esac
    for line in "${out[@]}"; do
        word="${line%%$'\t'*}"
        ((${#word} > width)) && width=${#word}
    done
    for line in "${out[@]}"; do
        word="${line%%$'\t'*}"
        about="${line#"$word"}"
        about="${about#$'\t'}"
        # explanations only where there is a choice: what is inserted is the bare word
        if ((${#out[@]} > 1)) && [[ -n "$about" && "${COMP_TYPE:-9}" == 63 ]]; then
            local room=$((${COLUMNS:-80} - width - 5))
            ((room > 10)) && printf -v word '%-*s  (%s)' "$width" "$word" "${about:0:room}"
        fi
        told+=("${word#"$cut"}")
    done
    COMPREPLY=("${told[@]}")
    if ((${#COMPREPLY[@]} == 0 && (hint & 4) == 0)); then
        compopt -o default 2>/dev/null
    fi
    if ((hint & 2)); then
        compopt -o nospace 2>/dev/null
    fi
}
complete -o nosort -F __flaggerpy_complete flaggerpy 2>/dev/null || complete -F __flaggerpy_complete flaggerpy
