import { run as ledgerShow } from '../actions/ledger-show.ts'
import { run as policyShow } from '../actions/policy-show.ts'
import type { Flag, Group, Spec } from '../spec.ts'
import { collect } from '../values.ts'

const KEEP_POLICY: Flag = {
  flags: '--sign <file>',
  help: 'sign it and keep it in this file, for other operators to approve',
}

export const NODE: Group = {
  name: 'node',
  summary: 'what only an operator can say of a node',
  commands: [
    {
      usage: 'write-off <node>',
      summary: 'free the permit of a node that will not come back, and fence it',
      flags: [{ flags: '--reason <text>', help: 'why', required: true }],
      example: `fleetctl node write-off gamma --reason "disk died"
    use it only for a node that is really gone: it gets no permit ever again and has to join as a new node`,
      load: async () => (await import('../signing/index.ts')).writeOff,
    },
  ],
}

export const LEDGER: Group = {
  name: 'ledger',
  summary: 'the replicated record of who may be down',
  commands: [
    {
      usage: 'show [group]',
      summary: "a group's voters, epoch and permits, read from a majority",
      example: 'fleetctl ledger show web',
      load: async () => ledgerShow,
    },
    {
      usage: 'recover [group]',
      summary: 'let a ledger go on whose majority of voters is gone for good',
      flags: [
        {
          flags: '--lost <node>',
          help: 'a voter that will never come back: all that do not answer (repeatable)',
          parse: collect,
        },
        { flags: '--reason <text>', help: 'why', required: true },
      ],
      example: `fleetctl ledger recover web --lost beta --lost gamma --reason "the rack burnt"
    without --lost it says who does not answer. Every host of the group begins with a permit, which it gives back once it is in service`,
      load: async () => (await import('../signing/index.ts')).ledgerRecover,
    },
  ],
}

export const POLICY: Group = {
  name: 'policy',
  summary: 'who may order what',
  commands: [
    {
      usage: 'show',
      summary: 'operators, publishers and the budgets of groups',
      flags: [{ flags: '--yaml', help: 'as a file to change, for policy apply' }],
      example: 'fleetctl policy show --yaml > policy.yaml',
      load: async () => policyShow,
    },
    {
      usage: 'edit',
      summary: 'change it in your editor ($VISUAL or $EDITOR), sign it and put it in force',
      flags: [KEEP_POLICY],
      example: `fleetctl policy edit
    a second operator, another key, the most of a group that may be down: the same as show --yaml, then apply`,
      load: async () => (await import('../signing/index.ts')).policyEdit,
    },
    {
      usage: 'apply <file>',
      summary: 'sign what a file says as the next policy, and put it in force',
      flags: [KEEP_POLICY, { flags: '--dry-run', help: 'say what it would change, and do nothing' }],
      example: `fleetctl policy apply policy.yaml
    operators of the policy in force have to sign it, and those whom it names: as many of each as that one's threshold says`,
      load: async () => (await import('../signing/index.ts')).policyApply,
    },
    {
      usage: 'approve <file>',
      summary: 'sign a policy that another operator has kept with --sign',
      flags: [{ flags: '--dry-run', help: 'show what it changes, and sign nothing' }],
      example: `fleetctl policy approve policy.signed --key ./second.key
    the last signature that it needs puts it in force; before that the file is passed on`,
      load: async () => (await import('../signing/index.ts')).policyApprove,
    },
  ],
}

export const KEY: Group = {
  name: 'key',
  summary: 'the key that signs for an operator or publisher; no daemon ever sees it',
  commands: [
    {
      usage: 'new',
      summary: 'make a key file',
      example: `fleetctl key new --key ./publisher.key
    encrypted where FLEETCTL_PASSPHRASE is set or a passphrase is typed`,
      load: async () => (await import('../signing/index.ts')).keyNew,
    },
    {
      usage: 'show',
      summary: 'the public half of a key file',
      example: 'fleetctl key show --key ./publisher.key',
      load: async () => (await import('../signing/index.ts')).keyShow,
    },
  ],
}

export const COMPLETION: Spec = {
  usage: 'completion <shell>',
  summary: 'print what makes a shell complete commands, flags, nodes, images and groups',
  choices: ['bash', 'zsh', 'fish'],
  example: `fleetctl completion bash > /etc/bash_completion.d/fleetctl
    for one shell alone: source <(fleetctl completion bash); in fish: fleetctl completion fish | source
    for zsh, into a directory of $fpath: fleetctl completion zsh > ~/.zfunc/_fleetctl`,
  load: async () => (await import('../completion/scripts.ts')).run,
}
