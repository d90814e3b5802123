# fish completion of flaggerpy: flaggerpy completion fish | source
# The program itself knows what may come; this asks it and hands the answer to fish.
function __flaggerpy_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l out (command $words[1] __complete $words[2..-1] 2>/dev/null)
    set -l hint (string replace -r '^:' '' -- $out[-1])
    set -e out[-1]
    if test (count $out) -eq 0; and test (math "$hint % 8") -lt 4
        __fish_complete_path (commandline -ct)
        return
    end
    string join \n -- $out
end
complete -c flaggerpy -f -k -a '(__flaggerpy_complete)'
