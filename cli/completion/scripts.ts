import type { Context } from '../context.ts'

/**
 * What each shell does: it hands the words up to the cursor to `fleetctl __complete`, the last of them as far as it is typed, and offers the
 * lines that come back: `WORD<tab>WHAT IT IS`. A line `:files` stands for the names of files, which the shell knows best.
 */
const BASH = `# bash completion of fleetctl; load it with: source <(fleetctl completion bash)
_fleetctl() {
  # bash splits words at ":" and "=" as well, and "shop:v1" is one word: split at blanks alone.
  local line=\${COMP_LINE:0:COMP_POINT} words current candidate rest
  read -ra words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=('')
  current=\${words[\${#words[@]} - 1]}
  # What stands before the last of them stays on the line, so it is no part of what is put in.
  local before=\${current%"\${current##*[:=]}"}
  COMPREPLY=()
  while IFS=$'\\t' read -r candidate rest; do
    if [[ $candidate == :files ]]; then
      compopt -o filenames 2>/dev/null
      while IFS= read -r candidate; do COMPREPLY+=("$candidate"); done < <(compgen -f -- "\${current#"$before"}")
    else
      COMPREPLY+=("\${candidate#"$before"}")
      [[ $candidate == *= ]] && compopt -o nospace 2>/dev/null
    fi
  done < <("\${words[0]}" __complete "\${words[@]:1}" 2>/dev/null)
}
complete -F _fleetctl fleetctl
`

const ZSH = `#compdef fleetctl
# zsh completion of fleetctl; load it with: source <(fleetctl completion zsh)
_fleetctl() {
  local -a lines candidates
  local line word
  lines=("\${(@f)$("\${words[1]}" __complete "\${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
  for line in $lines; do
    word=\${line%%$'\\t'*}
    if [[ $word == :files ]]; then
      _files
    elif [[ -n $word ]]; then
      candidates+=("\${word//:/\\\\:}:\${line#*$'\\t'}")
    fi
  done
  (( $#candidates )) && _describe -V fleetctl candidates
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
if [[ $funcstack[1] == _fleetctl ]]; then _fleetctl "$@"; else compdef _fleetctl fleetctl; fi
`

const FISH = `# fish completion of fleetctl; load it with: fleetctl completion fish | source
function __fleetctl_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    for line in ($words[1] __complete $words[2..-1] "$current" 2>/dev/null)
        if test "$line" = :files
            __fish_complete_path "$current"
        else
            echo $line
        end
    end
end
complete -c fleetctl -f -k -a '(__fleetctl_complete)'
`

const SCRIPTS: Readonly<Record<string, string>> = { bash: BASH, zsh: ZSH, fish: FISH }

export async function run({ terminal }: Context, shell: string): Promise<undefined> {
  terminal.stdout.write(SCRIPTS[shell]!)
  return
}
