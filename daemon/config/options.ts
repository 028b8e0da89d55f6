/** One flag of the command line. Its key in a file is its name in camelCase, its variable FLEETD_NAME in capitals. */
export interface Option {
  readonly key: string
  readonly flags: string
  readonly help: string
  /** What its text means. `list` and `tags` (key=value) are given again and again as a flag, and with commas in a variable; `lines` on lines of it. */
  readonly kind: 'text' | 'number' | 'list' | 'lines' | 'switch' | 'tags'
}

/** The flags under the headings of --help. */
export const OPTIONS = {
  'This node': [
    {
      key: 'dataDir',
      flags: '--data-dir <dir>',
      kind: 'text',
      help: 'everything the daemon keeps; locked against a second daemon (default: /var/lib/fleetd as root, else ~/.local/share/fleetd)',
    },
    { key: 'name', flags: '--name <name>', kind: 'text', help: 'label of this node (default: the host name)' },
    {
      key: 'class',
      flags: '--class <class>',
      kind: 'text',
      help: 'cloud, physical, or intermittent for what is often away (default: cloud)',
    },
    {
      key: 'zone',
      flags: '--zone <zone>',
      kind: 'text',
      help: 'failure and cost domain: a rack, a site, a ship (default: default)',
    },
    {
      key: 'group',
      flags: '--group <group>',
      kind: 'text',
      help: 'nodes that share one disruption budget (default: default)',
    },
    { key: 'tag', flags: '--tag <k=v>', kind: 'tags', help: 'free label (repeatable)' },
  ],
  Fleet: [
    { key: 'init', flags: '--init', kind: 'switch', help: 'make a fleet when the data directory belongs to none' },
    {
      key: 'operatorKey',
      flags: '--operator-key <file>',
      kind: 'text',
      help: "with --init: the operator's key file, made when there is none (default: ~/.config/fleetctl/operator.key)",
    },
    {
      key: 'join',
      flags: '--join <token|host:port>',
      kind: 'list',
      help: 'an invite on the first start, an address on later ones; tried for ever (repeatable)',
    },
    { key: 'mdns', flags: '--mdns', kind: 'switch', help: 'find peers of the same fleet on the LAN (default)' },
    { key: 'mdns', flags: '--no-mdns', kind: 'switch', help: 'do not' },
  ],
  Network: [
    {
      key: 'listen',
      flags: '--listen <host:port>',
      kind: 'list',
      help: 'where peers reach it; port 0 picks one (repeatable; default: 0.0.0.0:7946 and [::]:7946)',
    },
    {
      key: 'advertise',
      flags: '--advertise <host:port>',
      kind: 'list',
      help: 'what others are told to dial, where it is not what is listened on (repeatable)',
    },
    {
      key: 'lanOnly',
      flags: '--lan-only',
      kind: 'switch',
      help: 'never dial, accept or advertise anything but private and link-local addresses',
    },
    {
      key: 'relay',
      flags: '--relay',
      kind: 'switch',
      help: 'carry connections between members of which one cannot be dialled, and be reached so (default; never with --lan-only)',
    },
    { key: 'relay', flags: '--no-relay', kind: 'switch', help: 'do not' },
    { key: 'profile', flags: '--profile <profile>', kind: 'text', help: 'timing: lan, wan or local (default: lan)' },
  ],
  'Event handlers': [
    {
      key: 'eventHandler',
      flags: '--event-handler <spec>',
      kind: 'lines',
      help: '[TYPE[,TYPE][:NAME]=]SCRIPT: run SCRIPT with /bin/sh for such events; TYPE is member-join, member-leave, member-failed, member-update, member-reap, user, query or * (repeatable)',
    },
    {
      key: 'handlerTimeout',
      flags: '--handler-timeout <time>',
      kind: 'text',
      help: 'how long a script may run before it is killed with all that it started (default: 60s)',
    },
    {
      key: 'handlerConcurrency',
      flags: '--handler-concurrency <n>',
      kind: 'number',
      help: 'scripts that run at the same time; those of one handler run one after another (default: 8)',
    },
  ],
  Images: [
    {
      key: 'quota',
      flags: '--quota <size>',
      kind: 'text',
      help: 'what images may take, as 10GiB or as a part of the disk; what is of no use goes first (default: 20%)',
    },
    {
      key: 'minFree',
      flags: '--min-free <size>',
      kind: 'text',
      help: 'what the disk is left with, as 1GiB or as a part of it (default: 3%)',
    },
  ],
  'Chunks on the network': [
    {
      key: 'uploadLimit',
      flags: '--upload-limit <rate>',
      kind: 'text',
      help: 'what chunks of images may take on the way out in a second, as 4MiB (default: no limit)',
    },
    {
      key: 'downloadLimit',
      flags: '--download-limit <rate>',
      kind: 'text',
      help: 'the same on the way in (default: no limit)',
    },
    {
      key: 'zoneUploadLimit',
      flags: '--zone-upload-limit <zone=rate>',
      kind: 'tags',
      help: 'what may go to members of a zone in a second, beside the limit of all (repeatable)',
    },
    {
      key: 'zoneDownloadLimit',
      flags: '--zone-download-limit <zone=rate>',
      kind: 'tags',
      help: 'what may come from members of a zone in a second (repeatable)',
    },
    {
      key: 'zoneBudget',
      flags: '--zone-budget <size/time>',
      kind: 'text',
      help: 'what chunks to and from other zones may take together in each such time, as 500MiB/24h, for links that are paid by the byte (default: no limit)',
    },
  ],
  'Local interface': [
    {
      key: 'api',
      flags: '--api <addr>',
      kind: 'list',
      help: 'where fleetctl reaches it: unix:PATH, or HOST:PORT, which from other hosts needs --api-token-file (repeatable; default: unix:DATA_DIR/fleetd.sock)',
    },
    {
      key: 'apiTokenFile',
      flags: '--api-token-file <file>',
      kind: 'text',
      help: 'file, mode 0600, with the token that clients of --api HOST:PORT have to show; such addresses then speak TLS, on loopback too',
    },
    {
      key: 'apiCertFile',
      flags: '--api-cert-file <file>',
      kind: 'text',
      help: 'certificate for them, in PEM, with those that lead to its authority behind it (default: DATA_DIR/api-cert.pem, made at the first start)',
    },
    {
      key: 'apiKeyFile',
      flags: '--api-key-file <file>',
      kind: 'text',
      help: "that certificate's private key, in PEM",
    },
    {
      key: 'web',
      flags: '--web <host:port>',
      kind: 'text',
      help: 'the web page, on loopback; off for none (default: 127.0.0.1:7980 where that is free)',
    },
    {
      key: 'serfRpc',
      flags: '--serf-rpc <host:port>',
      kind: 'text',
      help: "Serf's RPC protocol, for the serf program and what else talks to a Serf agent (default: off; Serf's own is 127.0.0.1:7373)",
    },
    {
      key: 'serfRpcAuthFile',
      flags: '--serf-rpc-auth-file <file>',
      kind: 'text',
      help: 'file, mode 0600, with the token that Serf clients have to show (-rpc-auth); needed for any address but loopback',
    },
    {
      key: 'dns',
      flags: '--dns <host:port>',
      kind: 'text',
      help: 'DNS for NAME.node.fleet and NAME.service.fleet, over UDP and TCP (default: off; 127.0.0.1:8600 is usual)',
    },
    {
      key: 'oci',
      flags: '--oci <host:port>',
      kind: 'text',
      help: 'a registry for podman, containerd, skopeo and their like, on loopback (default: off; 127.0.0.1:5000 is usual)',
    },
    {
      key: 'fleetlock',
      flags: '--fleetlock <host:port>',
      kind: 'text',
      help: 'the FleetLock protocol, for Zincati and what else asks before it restarts this host, on loopback (default: off; 127.0.0.1:3333 is usual)',
    },
    {
      key: 'logLevel',
      flags: '--log-level <level>',
      kind: 'text',
      help: 'trace, debug, info, warn or error (default: info)',
    },
    {
      key: 'logFormat',
      flags: '--log-format <format>',
      kind: 'text',
      help: 'json or pretty (default: pretty on a terminal)',
    },
  ],
} as const satisfies Record<string, readonly Option[]>

export const ALL_OPTIONS: readonly Option[] = Object.values(OPTIONS).flat()

/** `dataDir` as a flag: `--data-dir`. */
export const flagOf = (key: string): string => `--${key.replace(/[A-Z]/g, letter => `-${letter.toLowerCase()}`)}`

/** `dataDir` as a variable: `FLEETD_DATA_DIR`. */
export const variableOf = (key: string): string =>
  `FLEETD_${key.replace(/[A-Z]/g, letter => `_${letter}`).toUpperCase()}`
